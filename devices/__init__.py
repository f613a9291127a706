"""What was really used. Owns devices, messages, sessions and confirmed use; reads booking and marketplace."""
