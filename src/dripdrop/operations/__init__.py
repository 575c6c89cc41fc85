"""What is asked for: each public function is one transaction, written as a flow."""
