"""Every figure and widget of the course: functions of arrays and frames that return a figure."""
