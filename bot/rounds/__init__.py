"""The life of rounds: begun, played, ended, told; the rules of the games come from outside (`play.Play`)."""
