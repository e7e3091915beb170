/* Threads for the parallel loops of the kernels, one pool per context.
 *
 * Each worker has a mailbox on a cache line of its own, a counter: odd while it holds a share of the current loop that
 * nobody has taken. The thread of the run raises it to hand out a share; whoever raises it again has taken the share.
 * That is the worker, or the thread of the run when it has finished its own share and the worker has not woken up yet:
 * on a busy machine a loop does not wait for a thread that gets no core. A thread that waits spins for a short time and
 * then sleeps (futex). Threads are not pinned, but a worker wakes up on another core than that of the run: left to
 * itself, Linux tends to wake it where the waker is busy, and leaves it there for milliseconds.
 */
#include "driver.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
  SPIN_IDLE_NS = 200 * 1000,   /* how long a worker spins outside a run */
  SPIN_HOT_NS = 300 * 1000,    /* how long threads spin for each other during a run */
  SPIN_ALONE_NS = 10 * 1000,   /* after this, a spinning thread lets others have its core in between */
  PAUSES_PER_LOOK = 32,        /* pauses between two looks at the clock */
};

struct worker {
  _Alignas(ALIGNMENT) atomic_uint mailbox;
  atomic_bool asleep;
  bool moved;          /* `allowed` is to be restored; written while the worker sleeps */
  cpu_set_t allowed;   /* where the worker may run */
  pthread_t thread;
  struct pool *pool;
  int lane;
};

struct pool {
  /* the current loop; written before its shares are handed out, read by who has taken one */
  ParallelTask *task;
  void *closure;
  ParallelEnvironment environment;

  _Alignas(ALIGNMENT) atomic_uint pending;   /* shares handed out and not finished */
  atomic_bool joiner_asleep;
  atomic_bool failed;

  _Alignas(ALIGNMENT) atomic_bool hot;   /* a run is in progress */
  atomic_int core;                       /* where the thread of the run is */
  atomic_bool stop;
  int threads;                           /* the thread of the run and the workers that live */
  int wanted;
  bool spins;                            /* false where there are more threads than cores */
  unsigned born;                         /* value of `forks` when the workers were started */
  struct context *context;
  struct workspace *workspaces;
  struct worker *workers;
};

_Thread_local struct lane driver_lane;

/* How often this process is the child of a fork since the library was loaded. Threads do not survive one. */
static atomic_uint forks;

static void count_fork(void)
{
  atomic_fetch_add(&forks, 1);
}

__attribute__((constructor)) static void watch_forks(void)
{
  pthread_atfork(NULL, NULL, count_fork);
}

static void futex_wait(atomic_uint *word, unsigned value)
{
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(atomic_uint *word)
{
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void cpu_pause(void)
{
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb" ::: "memory");   /* a few tens of cycles; `yield` is a no-op on most cores */
#endif
}

static int64_t now_ns(void)
{
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

/* ---- cores ---- */

/* `allowed` without `core`; false where nothing is left, or a set is larger than cpu_set_t. */
static bool all_but(int core, pthread_t thread, cpu_set_t *allowed, cpu_set_t *elsewhere)
{
  if (core < 0 || core >= CPU_SETSIZE || pthread_getaffinity_np(thread, sizeof *allowed, allowed) != 0)
    return false;
  *elsewhere = *allowed;
  CPU_CLR(core, elsewhere);
  return CPU_COUNT(elsewhere) > 0;
}

/* Keeps a sleeping worker off the core of this thread until it has woken up. */
static void move_away(struct worker *worker)
{
  cpu_set_t elsewhere;
  worker->moved = all_but(sched_getcpu(), worker->thread, &worker->allowed, &elsewhere) &&
                  pthread_setaffinity_np(worker->thread, sizeof elsewhere, &elsewhere) == 0;
}

static void return_from_away(struct worker *self)
{
  if (self->moved)
    pthread_setaffinity_np(self->thread, sizeof self->allowed, &self->allowed);
  self->moved = false;
}

/* Leaves the core of the run's thread, where a worker has got nevertheless. */
static void step_aside(const struct pool *pool)
{
  const int core = atomic_load_explicit(&pool->core, memory_order_relaxed);
  const pthread_t self = pthread_self();
  cpu_set_t allowed, elsewhere;
  if (sched_getcpu() == core && all_but(core, self, &allowed, &elsewhere) &&
      pthread_setaffinity_np(self, sizeof elsewhere, &elsewhere) == 0)
    pthread_setaffinity_np(self, sizeof allowed, &allowed);
}

/* Spins until *word is no longer `value`; false: it still is after the time to spin. */
static bool spin(const struct pool *pool, atomic_uint *word, unsigned value, bool is_worker)
{
  if (!pool->spins)
    return atomic_load(word) != value;
  const int64_t start = now_ns();
  for (;;) {
    for (int i = 0; i < PAUSES_PER_LOOK; i++) {
      if (atomic_load_explicit(word, memory_order_acquire) != value)
        return true;
      cpu_pause();
    }
    const bool hot = atomic_load_explicit(&pool->hot, memory_order_relaxed);
    const int64_t elapsed = now_ns() - start;
    if (elapsed > (hot ? SPIN_HOT_NS : SPIN_IDLE_NS))
      return false;
    if (elapsed > SPIN_ALONE_NS) {
      if (is_worker && hot)
        step_aside(pool);
      sched_yield();
    }
  }
}

/* Runs the tasks lane, lane + threads, lane + 2 threads, … of the current loop. */
static void run_share(struct pool *pool, int lane)
{
  driver_lane.in_task = true;
  for (int task = lane; task < pool->environment.num_task; task += pool->threads)
    if (pool->task(task, &pool->environment, pool->closure) != 0)
      atomic_store(&pool->failed, true);
  driver_lane.in_task = false;
}

/* ---- shares ---- */

static void hand_out(struct worker *worker)
{
  if (worker->pool->spins && atomic_load(&worker->asleep))   /* until the mailbox is raised it sleeps, or is about to */
    move_away(worker);
  atomic_fetch_add(&worker->mailbox, 1);
  if (atomic_exchange(&worker->asleep, false))
    futex_wake(&worker->mailbox);
}

static bool take(struct worker *worker)
{
  unsigned value = atomic_load(&worker->mailbox);
  return value % 2 == 1 && atomic_compare_exchange_strong(&worker->mailbox, &value, value + 1);
}

/* ---- workers ---- */

static void wait_for_share(struct worker *self)
{
  while (!take(self)) {
    const unsigned value = atomic_load(&self->mailbox);
    if (value % 2 == 1 || spin(self->pool, &self->mailbox, value, true))
      continue;
    atomic_store(&self->asleep, true);
    if (atomic_load(&self->mailbox) == value)
      futex_wait(&self->mailbox, value);
    atomic_store(&self->asleep, false);
    return_from_away(self);
  }
}

static void *work(void *argument)
{
  struct worker *self = argument;
  struct pool *pool = self->pool;
  driver_lane = (struct lane){pool->context, pool, &pool->workspaces[self->lane], false};
  for (;;) {
    wait_for_share(self);
    if (atomic_load(&pool->stop))
      return NULL;
    run_share(pool, self->lane);
    if (atomic_fetch_sub(&pool->pending, 1) == 1 && atomic_load(&pool->joiner_asleep))
      futex_wake(&pool->pending);
  }
}

/* Starts workers until `wanted` threads live. They block all signals: the host's handlers run in the host's threads. */
static int start_workers(struct pool *pool)
{
  int error = 0;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  atomic_store(&pool->pending, 0);
  pool->born = atomic_load(&forks);
  for (pool->threads = 1; pool->threads < pool->wanted; pool->threads++) {
    struct worker *worker = &pool->workers[pool->threads];
    atomic_store(&worker->mailbox, 0);
    atomic_store(&worker->asleep, false);
    worker->moved = false;
    worker->pool = pool;
    worker->lane = pool->threads;
    error = pthread_create(&worker->thread, NULL, work, worker);
    if (error != 0)
      break;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return error;
}

/* ---- the thread of the run ---- */

static void join(struct pool *pool)
{
  for (;;) {
    const unsigned pending = atomic_load(&pool->pending);
    if (pending == 0)
      return;
    if (spin(pool, &pool->pending, pending, false))
      continue;
    atomic_store(&pool->joiner_asleep, true);
    if (atomic_load(&pool->pending) == pending)
      futex_wait(&pool->pending, pending);
    atomic_store(&pool->joiner_asleep, false);
  }
}

static int launch_serially(ParallelTask *task, void *closure, int count)
{
  ParallelEnvironment environment = {NULL, count};
  int result = 0;
  for (int i = 0; i < count; i++)
    if (task(i, &environment, closure) != 0)
      result = -1;
  return result;
}

static int launch(ParallelTask *task, void *closure, int count)
{
  struct pool *pool = driver_lane.pool;
  if (count == 0)
    count = driver_lane.in_task ? 1 : pool->threads;
  if (driver_lane.in_task || pool->threads == 1 || count == 1)
    return launch_serially(task, closure, count);
  pool->task = task;
  pool->closure = closure;
  pool->environment = (ParallelEnvironment){NULL, count};
  const int lanes = count < pool->threads ? count : pool->threads;
  atomic_store(&pool->failed, false);
  atomic_store_explicit(&pool->core, sched_getcpu(), memory_order_relaxed);
  atomic_store(&pool->pending, (unsigned)lanes - 1);
  for (int lane = 1; lane < lanes; lane++)
    hand_out(&pool->workers[lane]);
  run_share(pool, 0);
  for (int lane = 1; lane < lanes; lane++)
    if (take(&pool->workers[lane])) {
      run_share(pool, lane);
      atomic_fetch_sub(&pool->pending, 1);
    }
  join(pool);
  return atomic_load(&pool->failed) ? -1 : 0;
}

int (*__TVMBackendParallelLaunch)(ParallelTask *, void *, int) = launch;

struct pool *driver_pool_start(int threads, struct context *context, struct workspace *workspaces, int *error)
{
  struct pool *pool = aligned_alloc(ALIGNMENT, sizeof(struct pool));
  struct worker *workers = aligned_alloc(ALIGNMENT, (size_t)threads * sizeof(struct worker));
  *error = ENOMEM;
  if (pool && workers) {
    *pool = (struct pool){
        .wanted = threads,
        .spins = threads <= driver_usable_cores(),
        .context = context,
        .workspaces = workspaces,
        .workers = workers,
    };
    *error = start_workers(pool);
    if (*error == 0)
      return pool;
    driver_pool_stop(pool);
    return NULL;
  }
  free(workers);
  free(pool);
  return NULL;
}

void driver_pool_heat(struct pool *pool)
{
  if (pool->born != atomic_load_explicit(&forks, memory_order_relaxed))
    start_workers(pool);   /* with fewer threads where the system refuses more */
  atomic_store_explicit(&pool->hot, true, memory_order_relaxed);
}

void driver_pool_cool(struct pool *pool)
{
  atomic_store_explicit(&pool->hot, false, memory_order_relaxed);
}

void driver_pool_stop(struct pool *pool)
{
  if (!pool)
    return;
  if (pool->born == atomic_load(&forks)) {
    atomic_store(&pool->stop, true);
    for (int lane = 1; lane < pool->threads; lane++) {
      hand_out(&pool->workers[lane]);
      pthread_join(pool->workers[lane].thread, NULL);
    }
  }
  free(pool->workers);
  free(pool);
}
