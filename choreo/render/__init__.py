"""A saga's timeline and its graph as text, HTML, SVG, Mermaid, DOT and JSON; pure, no I/O."""
