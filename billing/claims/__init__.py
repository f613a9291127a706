"""Claims on programmes: what accepted statements have them pay, handed in together, paid or rejected."""
