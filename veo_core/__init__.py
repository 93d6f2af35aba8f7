"""From raw footage to a registered generator of video with sound."""
