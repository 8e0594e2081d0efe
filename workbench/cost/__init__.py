"""What encoding costs: prices, limits, reports and forecasts."""
