/* The C front of libnativealloc.so: malloc and its family, with glibc's semantics, over the managed allocator.
 *
 * Two allocators stand behind it. The managed one ("ours") serves a thread that is ready for it. The C library's serves
 * everything else: what is asked before the runtime is up, what the runtime asks itself, a thread that is ending, and a
 * child after fork, in which the runtime's threads are missing. A block's address says whose it is.
 *
 * A thread is "inside" while it runs managed code through this front. What it asks for then (the runtime may allocate)
 * comes from the C library. fork waits until no thread is inside, so that a child never sees ours half changed.
 *
 * Nothing here calls an exported function: where this library is loaded at run time, such a call would go to the
 * function of that name that the program has. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include "nativealloc.h"

#define EXPORT __attribute__((visibility("default")))
#define likely(condition) __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)

/* The C library's own allocator, under names that nothing can take the place of. */
extern void *__libc_malloc(size_t);
extern void __libc_free(void *);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern int __cxa_thread_atexit_impl(void (*)(void *), void *, void *);
extern void *__dso_handle;
extern int __real_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

/* As FrontTable in Start.cs. */
static struct {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
    void *(*aligned_alloc)(size_t, size_t);
    size_t (*usable_size)(void *);
    size_t (*trim)(void);
    uintptr_t pages_base, pages_bytes;
    uintptr_t areas_base, areas_bytes;
    uintptr_t guard_base, guard_bytes;
    char error[512];
} ours;
extern int nativealloc_start(void *);

enum { MALLOC_ALIGNMENT = 16 };

/* ── The state of the process, and of each thread ─────────────────────────────────────────────────────────────── */

enum { LOADING, LOADED, STARTING, STARTED, REFUSED, CHILD };
static atomic_int process_state = LOADING;

enum { THREAD_NEW, THREAD_READY, THREAD_OTHER };
struct thread {
    atomic_int inside; /* written by the thread itself, read by one that forks */
    int state;         /* THREAD_OTHER: ending, or one of the runtime's own */
    struct thread *next, *previous;
};
static __thread struct thread self __attribute__((tls_model("initial-exec")));

/* All threads that are ready. The lock is held over a fork. */
static atomic_flag threads_lock = ATOMIC_FLAG_INIT;
static struct thread *threads;
static atomic_int forking;

/* Blocks of ours that were freed where ours must not be called. */
struct late {
    void *block;
    struct late *next;
};
static _Atomic(struct late *) put_aside;

static size_t (*libc_usable_size)(void *);

static void lock(void)
{
    while (atomic_flag_test_and_set_explicit(&threads_lock, memory_order_acquire)) sched_yield();
}

/* A thread that forks waits for locks of the C library, which the caller may hold. */
static int lock_unless_forking(void)
{
    while (atomic_flag_test_and_set_explicit(&threads_lock, memory_order_acquire)) {
        if (atomic_load(&forking)) return 0;
        sched_yield();
    }
    return 1;
}

static void unlock(void) { atomic_flag_clear_explicit(&threads_lock, memory_order_release); }

static inline int is_ours(void *block)
{
    if ((uintptr_t)block - ours.pages_base < ours.pages_bytes) return 1;
    if ((uintptr_t)block - ours.areas_base < ours.areas_bytes) return 1;
    return (uintptr_t)block - ours.guard_base < ours.guard_bytes;
}

static void thread_ends(void *argument)
{
    struct thread *thread = argument;
    lock();
    if (thread->previous) thread->previous->next = thread->next;
    else if (threads == thread) threads = thread->next;
    if (thread->next) thread->next->previous = thread->previous;
    thread->next = thread->previous = NULL;
    unlock();
    thread->state = THREAD_OTHER;
}

static int start(void)
{
    int expected = LOADED;
    if (!atomic_compare_exchange_strong(&process_state, &expected, STARTING)) return expected == STARTED;
    struct sigaction pipe; /* which the runtime ignores; that is the program's to say */
    sigaction(SIGPIPE, NULL, &pipe);
    self.inside = 1;
    int started = nativealloc_start(&ours);
    self.inside = 0;
    sigaction(SIGPIPE, &pipe, NULL);
    if (!started) {
        static const char prefix[] = "libnativealloc: the C library's allocator is used. ";
        (void)!write(2, prefix, sizeof prefix - 1);
        (void)!write(2, ours.error, strlen(ours.error));
        (void)!write(2, "\n", 1);
    }
    atomic_store(&process_state, started ? STARTED : REFUSED);
    return started;
}

/* The thread's first use of ours: it is announced, and its end is marked before the runtime takes leave of it. The last
 * mark that is set comes first, so the runtime has to know the thread by then. A second mark does no harm. */
static int make_ready(void)
{
    if (self.inside || self.state == THREAD_OTHER) return 0;
    int error = errno, marked = 0;
    if (atomic_load(&process_state) == STARTED || start()) {
        self.inside = 1;
        ours.free(NULL);
        marked = __cxa_thread_atexit_impl(thread_ends, &self, &__dso_handle) == 0;
        self.inside = 0;
    }
    errno = error;
    if (!marked || !lock_unless_forking()) return 0;
    self.state = THREAD_READY;
    self.next = threads;
    if (threads) threads->previous = &self;
    threads = &self;
    unlock();
    return 1;
}

static void free_put_aside(void)
{
    int error = errno;
    for (struct late *late = atomic_exchange(&put_aside, NULL), *next; late; late = next) {
        next = late->next;
        ours.free(late->block);
        __libc_free(late);
    }
    errno = error;
}

/* 1 if ours may be called now; leave must follow. */
static inline int enter(void)
{
    if (unlikely(self.inside || self.state != THREAD_READY) && !make_ready()) return 0;
    atomic_store_explicit(&self.inside, 1, memory_order_relaxed);
    /* A fork stores "forking" and then makes every processor of the process pass a barrier. */
    atomic_signal_fence(memory_order_seq_cst);
    if (unlikely(atomic_load_explicit(&forking, memory_order_acquire))
        || unlikely(atomic_load_explicit(&process_state, memory_order_relaxed) != STARTED)) {
        atomic_store_explicit(&self.inside, 0, memory_order_release);
        return 0;
    }
    if (unlikely(atomic_load_explicit(&put_aside, memory_order_relaxed) != NULL)) free_put_aside();
    return 1;
}

static inline void leave(void) { atomic_store_explicit(&self.inside, 0, memory_order_release); }

/* ── fork ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void before_fork(void)
{
    lock();
    atomic_store(&forking, 1);
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0)
        syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
    for (struct thread *thread = threads; thread; thread = thread->next)
        while (thread != &self && atomic_load_explicit(&thread->inside, memory_order_acquire)) sched_yield();
}

static void after_fork_in_parent(void)
{
    atomic_store(&forking, 0);
    unlock();
}

static void after_fork_in_child(void)
{
    if (atomic_load(&process_state) != LOADED) atomic_store(&process_state, CHILD);
    /* The other threads are gone: so may be the memory that they and their links were in. */
    threads = self.next = self.previous = NULL;
    atomic_store(&forking, 0);
    unlock();
}

__attribute__((constructor)) static void loaded(void)
{
    int error = errno;
    /* The next of that name may be that of another allocator, which the program was linked to. */
    void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    if (libc) *(void **)&libc_usable_size = dlsym(libc, "malloc_usable_size");
    syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
    atomic_store(&process_state, LOADED);
    errno = error;
}

/* ── malloc and its family ────────────────────────────────────────────────────────────────────────────────────── */

static void *out_of_memory(void)
{
    errno = ENOMEM;
    return NULL;
}

static inline int is_power_of_two(size_t number) { return number && !(number & (number - 1)); }

static void *allocate(size_t size)
{
    if (!enter()) return __libc_malloc(size);
    int error = errno;
    void *block = ours.malloc(size);
    leave();
    errno = block ? error : ENOMEM;
    return block;
}

EXPORT void *calloc(size_t count, size_t size)
{
    if (!enter()) return __libc_calloc(count, size);
    int error = errno;
    void *block = ours.calloc(count, size);
    leave();
    errno = block ? error : ENOMEM;
    return block;
}

static void free_elsewhere(void *block)
{
    if (!is_ours(block)) {
        __libc_free(block);
        return;
    }
    if (atomic_load(&process_state) == CHILD) return; /* the memory stays as it was in the parent */
    struct late *late = __libc_malloc(sizeof *late);
    if (!late) return;
    *late = (struct late){block, atomic_load_explicit(&put_aside, memory_order_relaxed)};
    while (!atomic_compare_exchange_weak(&put_aside, &late->next, late)) {}
}

static void release(void *block)
{
    if (!block) return;
    int error = errno;
    if (likely(is_ours(block)) && enter()) {
        ours.free(block);
        leave();
    }
    else {
        free_elsewhere(block);
    }
    errno = error;
}

/* What a block of either allocator can hold. At the end of a thread, where the runtime does not take it back, nobody
 * knows that of ours. */
static size_t usable_size(void *block)
{
    if (!is_ours(block)) return libc_usable_size ? libc_usable_size(block) : 0;
    int inside = self.inside;
    if (!inside && self.state != THREAD_READY && !make_ready() && self.state == THREAD_OTHER) return 0;
    int error = errno;
    self.inside = 1;
    size_t bytes = ours.usable_size(block);
    self.inside = inside;
    errno = error;
    return bytes;
}

/* Copies what can be read of so much; 0 where the system does not do that. It copies 2 GiB at most in one call. */
static int copy_readable(char *to, char *from, size_t size)
{
    size_t done = 0;
    while (done < size) {
        struct iovec source = {from + done, size - done}, target = {to + done, size - done};
        ssize_t bytes = process_vm_readv(getpid(), &target, 1, &source, 1, 0);
        if (bytes <= 0) return done != 0;
        done += (size_t)bytes;
    }
    return 1;
}

/* Ours cannot be called to change the block: it moves to the C library's. Its size is not known here. So all is copied
 * that can be read, up to the new size; the system says where that ends. */
static void *realloc_elsewhere(void *block, size_t size)
{
    if (!is_ours(block)) return __libc_realloc(block, size);
    int error = errno;
    void *copy = __libc_malloc(size);
    if (!copy) return NULL;
    if (!copy_readable(copy, block, size)) {
        size_t old = usable_size(block);
        if (old == 0) { /* rather none than one without the contents */
            __libc_free(copy);
            return out_of_memory();
        }
        memcpy(copy, block, old < size ? old : size);
    }
    free_elsewhere(block);
    errno = error;
    return copy;
}

static void *reallocate(void *block, size_t size)
{
    if (!block) return allocate(size);
    if (size == 0) {
        release(block);
        return NULL;
    }
    if (!is_ours(block) || !enter()) return realloc_elsewhere(block, size);
    int error = errno;
    void *changed = ours.realloc(block, size);
    leave();
    errno = changed ? error : ENOMEM;
    return changed;
}

EXPORT void *reallocarray(void *block, size_t count, size_t size)
{
    size_t bytes;
    return __builtin_mul_overflow(count, size, &bytes) ? out_of_memory() : reallocate(block, bytes);
}

/* A power of two. */
static void *allocate_aligned(size_t alignment, size_t size)
{
    if (alignment <= MALLOC_ALIGNMENT) return allocate(size);
    if (!enter()) return __libc_memalign(alignment, size);
    int error = errno;
    void *block = ours.aligned_alloc(alignment, size);
    leave();
    errno = block ? error : ENOMEM;
    return block;
}

EXPORT void *memalign(size_t alignment, size_t size)
{
    if (alignment > SIZE_MAX / 2 + 1) {
        errno = EINVAL;
        return NULL;
    }
    while (!is_power_of_two(alignment)) alignment = alignment ? (alignment | (alignment - 1)) + 1 : 1;
    return allocate_aligned(alignment, size);
}

/* As glibc since 2.38; before it rounded the alignment up, as memalign does. */
EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
    if (is_power_of_two(alignment)) return allocate_aligned(alignment, size);
    errno = EINVAL;
    return NULL;
}

EXPORT int posix_memalign(void **block, size_t alignment, size_t size)
{
    if (!is_power_of_two(alignment) || alignment % sizeof(void *)) return EINVAL;
    int error = errno;
    void *allocated = allocate_aligned(alignment, size);
    errno = error;
    if (!allocated) return ENOMEM;
    *block = allocated;
    return 0;
}

EXPORT void *valloc(size_t size) { return allocate_aligned((size_t)sysconf(_SC_PAGESIZE), size); }

EXPORT void *pvalloc(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), rounded;
    if (__builtin_add_overflow(size, page - 1, &rounded)) return out_of_memory();
    return allocate_aligned(page, rounded & ~(page - 1));
}

EXPORT size_t malloc_usable_size(void *block) { return block ? usable_size(block) : 0; }

static size_t trim(void)
{
    if (!enter()) return 0;
    int error = errno;
    size_t bytes = ours.trim();
    leave();
    errno = error;
    return bytes;
}

EXPORT int malloc_trim(size_t pad)
{
    (void)pad;
    return trim() != 0;
}

EXPORT int na_owns(void *address) { return is_ours(address); }

#define SAME_AS(name) EXPORT __attribute__((alias(#name)))
SAME_AS(allocate) void *malloc(size_t);
SAME_AS(allocate) void *na_malloc(size_t);
SAME_AS(release) void free(void *);
SAME_AS(release) void na_free(void *);
SAME_AS(reallocate) void *realloc(void *, size_t);
SAME_AS(reallocate) void *na_realloc(void *, size_t);
SAME_AS(trim) size_t na_trim(void);
SAME_AS(calloc) void *na_calloc(size_t, size_t);
SAME_AS(reallocarray) void *na_reallocarray(void *, size_t, size_t);
SAME_AS(aligned_alloc) void *na_aligned_alloc(size_t, size_t);
SAME_AS(posix_memalign) int na_posix_memalign(void **, size_t, size_t);
SAME_AS(memalign) void *na_memalign(size_t, size_t);
SAME_AS(malloc_usable_size) size_t na_usable_size(void *);

/* ── What the runtime itself calls (the linker's --wrap) ──────────────────────────────────────────────────────── */

void *__wrap_malloc(size_t size) { return __libc_malloc(size); }
void *__wrap_calloc(size_t count, size_t size) { return __libc_calloc(count, size); }
void *__wrap_memalign(size_t alignment, size_t size) { return __libc_memalign(alignment, size); }
void *__wrap_aligned_alloc(size_t alignment, size_t size) { return __libc_memalign(alignment, size); }

/* What the C library has allocated for the runtime may come from ours: a block of either kind. */
void __wrap_free(void *block)
{
    if (block) free_elsewhere(block);
}

void *__wrap_realloc(void *block, size_t size)
{
    return block ? realloc_elsewhere(block, size) : __libc_malloc(size);
}

int __wrap_posix_memalign(void **block, size_t alignment, size_t size)
{
    void *allocated = __libc_memalign(alignment, size);
    if (!allocated) return ENOMEM;
    *block = allocated;
    return 0;
}

struct beginning {
    void *(*function)(void *);
    void *argument;
};

static void *begin_internal(void *argument)
{
    struct beginning beginning = *(struct beginning *)argument;
    __libc_free(argument);
    self.state = THREAD_OTHER;
    return beginning.function(beginning.argument);
}

/* A thread of the runtime: it never allocates from ours, and it takes no signals that are meant for the program. */
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*function)(void *), void *argument)
{
    struct beginning *beginning = __libc_malloc(sizeof *beginning);
    if (!beginning) return EAGAIN;
    *beginning = (struct beginning){function, argument};
    sigset_t blocked, old;
    sigfillset(&blocked);
    const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) sigdelset(&blocked, own[i]);
    sigdelset(&blocked, SIGRTMIN); /* by which the runtime stops threads for a collection */
    pthread_sigmask(SIG_BLOCK, &blocked, &old);
    int error = __real_pthread_create(thread, attributes, begin_internal, beginning);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (error) __libc_free(beginning);
    return error;
}
