"""Where people, programs and timers come in; the only floor that joins floors."""
