"""Pictures and reports for people, made from the evidence."""
