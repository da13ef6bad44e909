"""Training where a GPU draws: photos, chance, schedules, growth and the loss stay on the device between its steps."""
