"""What customers say of a use, once it is fulfilled."""
