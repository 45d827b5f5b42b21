"""What gives a ranking its worth: `guidelines_read`, `qualification`, `hidden` (known answers, repeats), `reviews`."""
