"""Training on several processes, each with its share of every batch, over MPI: `mpiexec -n 4 minires train`.

Nothing below this room knows of it: a trainer is turned into one that averages, and a run into one that one process
writes. `docs/data_parallel.md` says what it gives and where it ends.

    processes.py   those that mpiexec started: sums over all of them, and giving up together
    trainer.py     a share of each batch, and the average of the gradients
    run.py         a run's folder, which process 0 writes; how a run begins, goes on and ends
"""
