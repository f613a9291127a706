"""Who moves money: one protocol, Stripe behind it, and a stand-in for Stripe as a server."""
