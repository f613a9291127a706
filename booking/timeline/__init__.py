"""What lies on many resources over a stretch of time: for a publisher's timeline, for its answers, for one's own calendar."""
