"""How many people can work at once, how long they wait, and whether anything is lost or counted twice."""
