"""What follows when an accepted statement's use becomes another: how far it may rise, what is named, what is paid back."""
