"""Live state: every act one atomic script."""
