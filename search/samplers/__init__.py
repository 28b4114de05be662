"""What proposes schedules: the space, what samplers see, and the samplers themselves."""
