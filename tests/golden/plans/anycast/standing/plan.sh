# All is there: nothing to do.
