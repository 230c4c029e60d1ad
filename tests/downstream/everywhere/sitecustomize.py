"""Makes every Python process that has this folder on its path run on tulipa, whatever starts it.

Python imports `sitecustomize` as it starts, so no line of the project, of its tests or of the programs that its tests
start has looked for a loop by then. This is what `tulipa run` does for one program.
"""

import tulipa

tulipa.install(everywhere=True)
