"""The transform of a contract of language 2.

It shares the clean files, their pruning, the days to publish and the publication with language 1.
Its own are what each upload feeds (`feeds`), what makes a row the latest (`precedence`,
`versions`), look-ups (`references`), what a batch of days is made of (`loader`), which days may
have changed (`changed_days`), and what became of the rows of each source object (`effects`).
"""
