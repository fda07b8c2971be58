"""What all HTML pages are made with: markup, colours and type, ticks of scales, images inside."""
