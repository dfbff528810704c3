"""Labels that a person makes: their states, repairs, suggested places, and sessions on disk."""
