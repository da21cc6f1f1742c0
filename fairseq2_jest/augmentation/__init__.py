"""Back-translation: monolingual text cleaned, synthetic pairs filtered, noise for their sources."""
