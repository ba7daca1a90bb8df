"""Models as files that a stock GROMACS runs: what ``metatomic convert --to gromacs`` does.

``convert`` writes the file.  ``module`` is the scripted module in it, which calls the pipeline of the model; ``pairs``
and ``cell_list`` make its neighbor lists, and ``probe`` recognizes the call by which grompp tries it.  ``instructions``
has the lines for the mdp file, ``libraries`` finds what GROMACS has to open.
"""
