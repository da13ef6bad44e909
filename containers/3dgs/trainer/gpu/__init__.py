"""Training on a GPU: photos, random numbers, schedules, growth and the loss stay on the device between its steps."""
