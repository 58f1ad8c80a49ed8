/*
 * Replays a staged trace under whatever malloc this process has, and prints one line of JSON with the result: what the
 * "measure" command of the .NET program does, for a program without .NET. The file's layout (OpFile.cs), the loop
 * (Replayer.cs), the passes (PassPolicy.cs) and the figures (Measurement.cs) are the same; keep them so.
 *
 *     replay OPS-FILE THREADS MIN-TIMED-PASSES MIN-SECONDS TIME-CALLS EXPECTED-LIBRARY
 *
 * With TIME-CALLS (1) every call is timed, as CallClock.cs does it: the result has percentiles, and its time per
 * operation means nothing.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { OP_MALLOC, OP_FREE, OP_CALLOC, OP_REALLOC, OP_ALIGNED, OP_ALIGNED_FREE };
enum { WARM_UP_REPEATS = 64, CHUNK_LENGTH = 4096, MAX_TIMED_PASSES = 10000 };

enum { CALL_ALLOC, CALL_REALLOC, CALL_FREE, CALL_KINDS };
enum { SUB_BITS = 4, BUCKETS = (40 - SUB_BITS + 1) << SUB_BITS, LONG_NS = 50000, LOOK_NS = 20000 };

typedef struct {
    uint32_t kind, slot, size, alignment;
} Op;

typedef struct {
    uint64_t signature;
    int64_t warm_up_count, op_count, slot_count, operations, peak_live_bytes, reserved[2];
} Header;

typedef struct {
    pthread_t thread;
    void **slots;
    int64_t started, ended;
} Worker;

static const uint64_t SIGNATURE = 0x31303053504F414E; /* "NAOPS001" */

static pthread_barrier_t start_barrier, end_barrier;
static const Op *pass_ops; /* what the workers replay next; null sends them home */
static int64_t pass_count;
static double times[MAX_TIMED_PASSES];

static int time_calls;
static int64_t buckets[CALL_KINDS][BUCKETS], longest_ns[CALL_KINDS], empty_ns;
static __thread int64_t looked_at, cpu_then;

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "replay: %s\n", what);
    exit(1);
}

/* The measurement's own memory comes from the kernel and is resident at once, so it weighs on no pass. */
static void *map(size_t length, int protection, int flags, int file)
{
    void *pages = mmap(NULL, length, protection, MAP_PRIVATE | MAP_POPULATE | flags, file, 0);
    if (pages == MAP_FAILED)
        fail("mmap failed");
    return pages;
}

static const Header *map_trace(const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (file < 0 || fstat(file, &status) != 0 || status.st_size < (off_t)sizeof(Header))
        fail("the file with the operations cannot be read");
    const Header *header = map((size_t)status.st_size, PROT_READ, 0, file);
    close(file);
    int64_t ops = header->warm_up_count + header->op_count;
    if (header->signature != SIGNATURE || status.st_size != (off_t)(sizeof(Header) + (uint64_t)ops * sizeof(Op)))
        fail("the file holds no operations");
    return header;
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static int64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static long page_faults(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_minflt + usage.ru_majflt : 0;
}

static int64_t begin_call(void)
{
    int64_t now = now_ns();
    if (now - looked_at <= LOOK_NS)
        return now;
    looked_at = now;
    cpu_then = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    return now_ns();
}

/* A long call counts with the thread's processor time, so that others on a busy machine are not in it. */
static void end_call(int call, int64_t began)
{
    int64_t now = now_ns(), ns = now - began;
    if (ns > LONG_NS) {
        int64_t then = cpu_then;
        looked_at = now;
        cpu_then = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        ns = cpu_then - then < ns ? cpu_then - then : ns;
    }
    ns = ns - empty_ns > 1 ? ns - empty_ns : 1;
    int shift = ns < 1 << SUB_BITS ? 0 : 63 - __builtin_clzll((uint64_t)ns) - SUB_BITS;
    int64_t bucket = ns < 1 << SUB_BITS ? ns : ((int64_t)shift << SUB_BITS) + (ns >> shift);
    __atomic_fetch_add(&buckets[call][bucket < BUCKETS ? bucket : BUCKETS - 1], 1, __ATOMIC_RELAXED);
    int64_t longest = __atomic_load_n(&longest_ns[call], __ATOMIC_RELAXED);
    while (ns > longest && !__atomic_compare_exchange_n(
               &longest_ns[call], &longest, ns, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

static void reset_calls(void)
{
    memset(buckets, 0, sizeof buckets);
    memset(longest_ns, 0, sizeof longest_ns);
    empty_ns = INT64_MAX;
    for (int i = 0; i < 1000; i++) {
        int64_t began = now_ns(), ns = now_ns() - began;
        empty_ns = ns < empty_ns ? ns : empty_ns;
    }
}

static int64_t percentile(int call, int64_t count, double share)
{
    int64_t rank = (int64_t)((double)count * share), seen = 0;
    for (int i = 0; i < BUCKETS; i++) {
        seen += buckets[call][i];
        if (seen > rank || seen == count) {
            int shift = i < 1 << SUB_BITS ? 0 : (i >> SUB_BITS) - 1;
            int64_t bound = i < 1 << SUB_BITS
                ? i : ((((int64_t)i & ((1 << SUB_BITS) - 1)) + (1 << SUB_BITS) + 1) << shift) - 1;
            return bound < longest_ns[call] ? bound : longest_ns[call];
        }
    }
    return 0;
}

static void print_calls(void)
{
    static const char *const names[CALL_KINDS] = { "alloc", "realloc", "free" };
    const char *separator = "";
    printf(",\"latency\":{");
    for (int call = 0; call < CALL_KINDS; call++) {
        int64_t count = 0;
        for (int i = 0; i < BUCKETS; i++)
            count += buckets[call][i];
        if (count == 0)
            continue;
        printf("%s\"%s\":{\"count\":%lld,\"p50\":%lld,\"p99\":%lld,\"p999\":%lld,\"p9999\":%lld,\"max\":%lld}",
            separator, names[call], (long long)count, (long long)percentile(call, count, 0.5),
            (long long)percentile(call, count, 0.99), (long long)percentile(call, count, 0.999),
            (long long)percentile(call, count, 0.9999), (long long)longest_ns[call]);
        separator = ",";
    }
    printf("}");
}

/* Reads a number from /proc/self/status, without any help that might allocate. */
static long resident_kib(const char *field)
{
    static char text[8192];
    int file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? -1 : read(file, text, sizeof text - 1);
    close(file);
    if (length < 0)
        fail("/proc/self/status cannot be read");
    text[length] = 0;
    const char *at = strstr(text, field);
    return at ? strtol(at + strlen(field), NULL, 10) : 0;
}

/* Whatever malloc this is gives back what it keeps; glibc's function is there beside others' malloc, too, and comes last. */
static void trim(void)
{
    void (*collect)(unsigned char) = (void (*)(unsigned char))dlsym(RTLD_DEFAULT, "mi_collect");
    void (*release)(void) = (void (*)(void))dlsym(RTLD_DEFAULT, "MallocExtension_ReleaseFreeMemory");
    int (*control)(const char *, void *, size_t *, void *, size_t) =
        (int (*)(const char *, void *, size_t *, void *, size_t))dlsym(RTLD_DEFAULT, "mallctl");
    int (*heap)(size_t) = (int (*)(size_t))dlsym(RTLD_DEFAULT, "malloc_trim");
    if (collect != NULL)
        collect(1);
    else if (release != NULL)
        release();
    else if (control != NULL) {
        control("thread.tcache.flush", NULL, NULL, NULL, 0);
        control("arena.4096.purge", NULL, NULL, NULL, 0); /* 4096 stands for all arenas */
    } else if (heap != NULL)
        heap(0);
}

/* Where this is not permitted the peak of the start-up stays, which can only make the result look worse. */
static void reset_peak(void)
{
    int file = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (file >= 0) {
        if (write(file, "5", 1) < 0)
            fputs("replay: the peak could not be reset\n", stderr);
        close(file);
    }
}

static inline void *touch(void *block, uint32_t size)
{
    if (size != 0) {
        ((volatile char *)block)[0] = 1;
        ((volatile char *)block)[(size_t)size - 1] = 1;
    }
    return block;
}

/* aligned_alloc wants a multiple of the alignment in some libraries, so it is the older function. */
static void *allocate_aligned(uint32_t size, uint32_t alignment)
{
    void *block;
    size_t least = sizeof(void *);
    return posix_memalign(&block, alignment < least ? least : alignment, size) == 0 ? block : NULL;
}

static __attribute__((noinline)) void replay_chunk(const Op *op, const Op *end, void **slots)
{
    for (; op < end; op++) {
        void **slot = slots + op->slot;
        /* The two common kinds first, by plain comparisons: they cost less than a jump through a table. */
        if (op->kind == OP_MALLOC) {
            *slot = touch(malloc(op->size), op->size);
        } else if (op->kind == OP_FREE) {
            free(*slot);
            *slot = NULL;
        } else if (op->kind == OP_REALLOC) {
            *slot = touch(realloc(*slot, op->size), op->size);
        } else if (op->kind == OP_CALLOC) {
            *slot = touch(calloc(1, op->size), op->size);
        } else if (op->kind == OP_ALIGNED) {
            *slot = touch(allocate_aligned(op->size, op->alignment), op->size);
        } else {
            free(*slot);
            *slot = NULL;
        }
    }
}

/* The same with every call timed. */
static __attribute__((noinline)) void replay_timed(const Op *op, const Op *end, void **slots)
{
    for (; op < end; op++) {
        void **slot = slots + op->slot, *block = NULL;
        int64_t began = begin_call();
        switch (op->kind) {
        case OP_MALLOC:
            block = malloc(op->size);
            break;
        case OP_REALLOC:
            block = realloc(*slot, op->size);
            break;
        case OP_CALLOC:
            block = calloc(1, op->size);
            break;
        case OP_ALIGNED:
            block = allocate_aligned(op->size, op->alignment);
            break;
        default:
            free(*slot);
            break;
        }
        int is_free = op->kind == OP_FREE || op->kind == OP_ALIGNED_FREE;
        end_call(is_free ? CALL_FREE : op->kind == OP_REALLOC ? CALL_REALLOC : CALL_ALLOC, began);
        *slot = is_free ? NULL : touch(block, op->size);
    }
}

static void replay(const Op *ops, int64_t count, void **slots)
{
    for (const Op *end = ops + count; ops < end;) {
        const Op *stop = end - ops > CHUNK_LENGTH ? ops + CHUNK_LENGTH : end;
        if (time_calls)
            replay_timed(ops, stop, slots);
        else
            replay_chunk(ops, stop, slots);
        ops = stop;
    }
}

static void *work(void *argument)
{
    Worker *self = argument;
    for (;;) {
        pthread_barrier_wait(&start_barrier);
        if (pass_ops == NULL)
            return NULL;
        self->started = now_ns();
        replay(pass_ops, pass_count, self->slots);
        self->ended = now_ns();
        pthread_barrier_wait(&end_barrier);
    }
}

/* From the first thread's start to the last one's end; a single thread is the main one. */
static int64_t run_pass(const Op *ops, int64_t count, Worker *workers, int threads)
{
    if (threads == 1) {
        int64_t before = now_ns();
        replay(ops, count, workers[0].slots);
        return now_ns() - before;
    }

    pass_ops = ops;
    pass_count = count;
    pthread_barrier_wait(&start_barrier);
    pthread_barrier_wait(&end_barrier);
    int64_t first = INT64_MAX, last = INT64_MIN;
    for (int i = 0; i < threads; i++) {
        first = workers[i].started < first ? workers[i].started : first;
        last = workers[i].ended > last ? workers[i].ended : last;
    }
    return last - first;
}

static int compare_times(const void *left, const void *right)
{
    double difference = *(const double *)left - *(const double *)right;
    return (difference > 0) - (difference < 0);
}

int main(int argc, char **argv)
{
    if (argc != 7)
        fail("usage: replay OPS-FILE THREADS MIN-TIMED-PASSES MIN-SECONDS TIME-CALLS EXPECTED-LIBRARY");
    int threads = atoi(argv[2]);
    int min_passes = atoi(argv[3]);
    double min_ns = atof(argv[4]) * 1e9;
    time_calls = atoi(argv[5]);

    Dl_info owner;
    if (dladdr((void *)(uintptr_t)&malloc, &owner) == 0 || strstr(owner.dli_fname, argv[6]) == NULL)
        fail("malloc is not the expected library's; it was not preloaded");

    const Header *header = map_trace(argv[1]);
    const Op *warm_up = (const Op *)(header + 1);
    const Op *ops = warm_up + header->warm_up_count;

    /* Threads exist before the baseline is taken, with stacks and all. */
    Worker *workers = map((size_t)threads * sizeof(Worker), PROT_READ | PROT_WRITE, MAP_ANONYMOUS, -1);
    pthread_barrier_init(&start_barrier, NULL, (unsigned)threads + 1);
    pthread_barrier_init(&end_barrier, NULL, (unsigned)threads + 1);
    for (int i = 0; i < threads; i++) {
        workers[i].slots = map((size_t)header->slot_count * sizeof(void *), PROT_READ | PROT_WRITE, MAP_ANONYMOUS, -1);
        if (threads > 1 && pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            fail("no more threads");
    }

    for (int i = 0; i < WARM_UP_REPEATS; i++)
        run_pass(warm_up, header->warm_up_count, workers, threads);

    /* The array of times is made resident here, ahead of the baseline. */
    memset(times, 1, sizeof times);
    resident_kib("VmRSS:");
    trim();
    reset_calls();
    reset_peak();
    long baseline = resident_kib("VmRSS:");

    /* The first pass touches fresh memory: it counts for the peak and not for the time. */
    run_pass(ops, header->op_count, workers, threads);
    int passes = 0;
    int64_t operations = header->operations * threads;
    long faults = page_faults();
    int64_t began = now_ns();
    while (passes < MAX_TIMED_PASSES && (passes < min_passes || (double)(now_ns() - began) < min_ns))
        times[passes++] = (double)run_pass(ops, header->op_count, workers, threads) / (double)operations;
    faults = page_faults() - faults;
    long peak = resident_kib("VmHWM:") - baseline;

    qsort(times, (size_t)passes, sizeof times[0], compare_times);
    double median = (times[(passes - 1) / 2] + times[passes / 2]) / 2;
    printf("{\"nsPerOp\":%.6f,\"nsPerOpBest\":%.6f,\"peakKiB\":%ld,\"liveKiB\":%lld,\"operations\":%lld,\"passes\":%d,"
        "\"counters\":{\"pageFaults\":%.6f}",
        median, times[0], peak > 0 ? peak : 0, (long long)(header->peak_live_bytes * threads / 1024),
        (long long)operations, passes, (double)faults * 1000 / ((double)operations * passes));
    if (time_calls)
        print_calls();
    puts("}");

    pass_ops = NULL;
    if (threads > 1)
        pthread_barrier_wait(&start_barrier);
    for (int i = 0; threads > 1 && i < threads; i++)
        pthread_join(workers[i].thread, NULL);
    return 0;
}
