"""A photo to a cropped person with mask and landmarks. The door is :mod:`.frontend`."""
