"""Claims of pooled resources."""
