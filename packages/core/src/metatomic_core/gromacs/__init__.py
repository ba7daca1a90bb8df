"""Models as files that a stock GROMACS runs: what ``metatomic convert --to gromacs`` does.

``convert`` writes the file; ``module`` is the scripted module in it, which calls the pipeline of the model, and
``pairs`` and ``cell_list`` are the neighbor lists that it works with; ``instructions`` has what to write in the mdp file.
"""
