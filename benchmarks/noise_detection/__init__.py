"""How well scores of a pair tell good web-crawled pairs from bad ones."""
