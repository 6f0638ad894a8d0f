"""The page, asked over HTTP and looked at in a real browser."""
