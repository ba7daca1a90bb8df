// What a serial LAMMPS has in the place of MPI, as far as the plugin and the headers of LAMMPS use
// it: names and types of src/STUBS/mpi.h, which has no communicators of a node and no operations on
// bits.
#define MPI_STUBS
#define MPI_COMM_WORLD 0
#define MPI_COMM_NULL -1
#define MPI_INT 1
#define MPI_FLOAT 2
#define MPI_DOUBLE 3
#define MPI_CHAR 4
#define MPI_BYTE 5
#define MPI_LONG 6
#define MPI_LONG_LONG 7
#define MPI_DOUBLE_INT 8
#define MPI_SUM 1
#define MPI_MAX 2
#define MPI_MIN 3
#define MPI_MAXLOC 4
#define MPI_MINLOC 5
#define MPI_LOR 6
#define MPI_IN_PLACE 0
#define MPI_Comm int
#define MPI_Request int
#define MPI_Datatype int
#define MPI_Op int

int MPI_Comm_rank(MPI_Comm comm, int *me);
int MPI_Comm_size(MPI_Comm comm, int *nprocs);
int MPI_Comm_free(MPI_Comm *comm);
int MPI_Comm_split(MPI_Comm comm, int color, int key, MPI_Comm *comm_out);
int MPI_Bcast(void *buf, int count, MPI_Datatype datatype, int root, MPI_Comm comm);
int MPI_Allreduce(void *sendbuf, void *recvbuf, int count, MPI_Datatype datatype, MPI_Op op,
                  MPI_Comm comm);
double MPI_Wtime();
