"""What influence on trusted seeds finds, what it costs, and what training on its choice brings."""
