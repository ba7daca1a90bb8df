"""What ``metatomic doctor`` looks at: facts about this machine and what is installed, for reports of bugs.

``examination`` runs everything, each part in a process of its own, which is ``patient``; ``parts`` lists them; the
probes of core are in a module for each subject, such as ``pytorch``; ``known_versions`` is the table of versions that
do not work, and ``privacy`` keeps names out.  Nothing here imports torch at module level.
"""
