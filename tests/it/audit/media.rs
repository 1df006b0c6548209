//! Media that fail, stall and come back, and those who change files meanwhile.
