"""Jobs: labels, walks and trainings that run where Parsl sends them."""
