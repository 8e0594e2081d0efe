"""Where models, state and stores meet: plan, converge, verify."""
