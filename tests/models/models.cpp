// The parts of the allocator in which threads meet without a lock, modelled for relacy: it runs them in many orders, with
// every value that the memory model of C++ lets a load see. That is weaker than x64, and as weak as arm64.
//
// Volatile.Read is an acquiring load, Volatile.Write a releasing store, Interlocked sequentially consistent; what is
// plain in C# is relaxed here. Contents of blocks are rl::var: two threads at one of them at a time are a failure.
//
// Each model has mutants, in which one thing is left out that docs/design/memory-model.md says is needed. A mutant has to
// fail, else the model does not see what it is there for.

#include <cstdio>
#include <relacy/relacy.hpp>

using rl::atomic;
using rl::var;

// MemoryBarrierProcessWide: each other thread passes a full barrier between two of its own steps, at a point that the
// thread which asked waits for. Exchanges read the newest value; they are relaxed, so they order nothing themselves.
struct process_barrier
{
    atomic<int> asked, answered;
    static const int ended = 1000000;

    void reset()
    {
        asked($) = 0;
        answered($) = 0;
    }

    // Before each step of a thread that may be made to pass.
    void step(int &passed)
    {
        int wanted = asked($).fetch_add(0, rl::mo_relaxed);
        if (wanted == passed) return;
        rl::atomic_thread_fence(rl::mo_seq_cst, $);
        passed = wanted;
        answered($).exchange(wanted, rl::mo_relaxed);
    }

    // At the thread's end: it takes part in no barrier any more.
    void end()
    {
        rl::atomic_thread_fence(rl::mo_seq_cst, $);
        answered($).exchange(ended, rl::mo_relaxed);
    }

    void pass()
    {
        rl::atomic_thread_fence(rl::mo_seq_cst, $);
        int wanted = asked($).fetch_add(1, rl::mo_relaxed) + 1;
        while (answered($).fetch_add(0, rl::mo_relaxed) < wanted) rl::yield(1, $);
        rl::atomic_thread_fence(rl::mo_seq_cst, $);
    }
};

// OwnerClaim: the owner is inside its part, or another thread has claimed it; never both.
enum claim_mutant { claim_as_is, claim_without_barrier };

template <claim_mutant mutant>
struct claim : rl::test_suite<claim<mutant>, 2>
{
    atomic<int> inside, claimed;
    var<int> part;
    process_barrier barrier;

    void before()
    {
        inside($) = 0;
        claimed($) = 0;
        part($) = 0;
        barrier.reset();
    }

    void owner()
    {
        int passed = 0;
        for (int visit = 0; visit < 2; visit++)
        {
            barrier.step(passed);
            inside($).store(1, rl::mo_release);
            barrier.step(passed);
            bool entered = claimed($).load(rl::mo_acquire) == 0;
            barrier.step(passed);
            if (entered) part($) = part($) + 1;
            inside($).store(0, rl::mo_release);
        }
        barrier.end();
    }

    void round()
    {
        claimed($).store(1, rl::mo_release);
        if (mutant != claim_without_barrier) barrier.pass();
        if (inside($).load(rl::mo_acquire) == 0) part($) = part($) + 1;
        claimed($).store(0, rl::mo_release);
    }

    void thread(unsigned index)
    {
        if (index == 0) owner();
        else round();
    }
};

// Recall: objects are taken from below the top of a magazine whose owner goes on popping and pushing.
enum recall_mutant { recall_as_is, recall_without_first, recall_without_second, recall_puts_back_blindly };

template <recall_mutant mutant>
struct recall : rl::test_suite<recall<mutant>, 2>
{
    static const int objects = 4, foreign = 2, slots = 8, steps = 6;
    atomic<int> top;
    atomic<int> slot[slots]; // slot[0] is the floor, 0; objects have the numbers from 1
    var<int> contents[objects + foreign + 1];
    process_barrier barrier;

    void before()
    {
        top($) = objects;
        for (int at = 0; at < slots; at++) slot[at]($) = at <= objects ? at : 0;
        for (int at = 0; at <= objects + foreign; at++) contents[at]($) = at <= objects ? 0 : 1; // 0: in the magazine
        barrier.reset();
    }

    // The top names the last object here, that of the C# code the slot above it.
    void owner()
    {
        // It has objects of other magazines, too, and frees in the order in which it got.
        int held[steps + foreign] = {objects + 1, objects + 2}, first = 0, count = foreign, passed = 0;
        for (int step = 0; step < steps; step++)
        {
            if (first == count || rl::rand(2) == 0)
            {
                barrier.step(passed);
                int at = top($).load(rl::mo_relaxed);
                barrier.step(passed);
                int object = slot[at]($).load(rl::mo_relaxed);
                if (object == 0) break; // the slow path, which the claim keeps out of the magazine
                barrier.step(passed);
                top($).store(at - 1, rl::mo_relaxed);
                RL_ASSERT(contents[object]($) == 0);
                contents[object]($) = 1;
                held[count++] = object;
            }
            else
            {
                int object = held[first++];
                contents[object]($) = 0;
                barrier.step(passed);
                int at = top($).load(rl::mo_relaxed);
                barrier.step(passed);
                slot[at + 1]($).store(object, rl::mo_relaxed);
                barrier.step(passed);
                top($).store(at + 1, rl::mo_relaxed);
            }
        }
        barrier.end();
    }

    void take(int object)
    {
        RL_ASSERT(object != 0 && contents[object]($) == 0);
        contents[object]($) = 2;
    }

    void recaller()
    {
        int asked_at = top($).load(rl::mo_acquire);
        if (asked_at < 2 || slot[asked_at]($).load(rl::mo_acquire) == 0) return;
        int at = asked_at - 1;
        if (slot[at]($).load(rl::mo_acquire) == 0) return;
        int object = slot[at]($).exchange(0, rl::mo_seq_cst);
        if (mutant != recall_without_first) barrier.pass();
        bool is_below_top = top($).load(rl::mo_acquire) >= asked_at;
        if (mutant != recall_without_second) barrier.pass();
        if (!is_below_top)
        {
            int zero = 0;
            if (mutant == recall_puts_back_blindly) slot[at]($).store(object, rl::mo_seq_cst);
            else slot[at]($).compare_exchange_strong(zero, object, rl::mo_seq_cst);
        }
        else if (slot[at]($).load(rl::mo_acquire) == 0)
        {
            take(object);
            for (int below = at - 1; below > 0; below--) take(slot[below]($).load(rl::mo_relaxed));
        }
    }

    void thread(unsigned index)
    {
        if (index == 0) owner();
        else recaller();
    }
};

// DepotStack: magazines are pushed and popped by compare-and-swap; a tag tells a head that came back from one that stayed.
enum depot_mutant { depot_as_is, depot_without_tag, depot_with_relaxed_exchange };

template <depot_mutant mutant>
struct depot : rl::test_suite<depot<mutant>, 3>
{
    static const int magazines = 3, mask = 15, tag = 16;
    atomic<int> head;
    atomic<int> link[magazines + 1];
    var<int> contents[magazines + 1];
    static rl::memory_order exchange()
    {
        return mutant == depot_with_relaxed_exchange ? rl::mo_relaxed : rl::mo_seq_cst;
    }

    void before()
    {
        head($) = magazines;
        for (int at = 0; at <= magazines; at++)
        {
            link[at]($) = at == 0 ? 0 : at - 1;
            contents[at]($) = 0;
        }
    }

    void push(int number)
    {
        while (true)
        {
            int old = head($).load(rl::mo_acquire);
            link[number]($).store(old & mask, rl::mo_release);
            int pushed = ((old & ~mask) + (mutant == depot_without_tag ? 0 : tag)) | number;
            if (head($).compare_exchange_strong(old, pushed, exchange())) return;
        }
    }

    int pop()
    {
        while (true)
        {
            int old = head($).load(rl::mo_acquire), number = old & mask;
            if (number == 0) return 0;
            int below = link[number]($).load(rl::mo_acquire);
            if (head($).compare_exchange_strong(old, (old & ~mask) | (below & mask), exchange())) return number;
        }
    }

    // Who has a magazine has it alone.
    void use(int number)
    {
        if (number != 0) contents[number]($) = contents[number]($) + 1;
    }

    void thread(unsigned)
    {
        int first = pop();
        use(first);
        int second = pop();
        use(second);
        if (first != 0) push(first);
        if (second != 0) push(second);
        use(pop());
    }
};

// MagazineReads: a section goes offline after all threads have ended that were reading a magazine which lay there. One
// thread reads a magazine of another, which gives it back, and a third takes its section offline.
enum offline_mutant { offline_as_is, offline_without_count, offline_without_barrier };

template <offline_mutant mutant>
struct offline : rl::test_suite<offline<mutant>, 3>
{
    atomic<int> top, readers, is_free;
    var<int> memory; // of the magazine: read by the reader, written by who takes it away

    void before()
    {
        top($) = 1;
        readers($) = 0;
        is_free($) = 0;
        memory($) = 0;
    }

    // Interlocked is a full barrier, which an exchange alone is not here.
    void count(int change)
    {
        if (mutant == offline_without_count) return;
        readers($).fetch_add(change, rl::mo_seq_cst);
        rl::atomic_thread_fence(rl::mo_seq_cst, $);
    }

    void reader()
    {
        count(1);
        if (top($).load(rl::mo_acquire) != 0) (int)memory($);
        count(-1);
    }

    void owner()
    {
        top($).store(0, rl::mo_release);
        is_free($).store(1, rl::mo_release); // under the zone's lock
    }

    void offliner()
    {
        if (is_free($).load(rl::mo_acquire) == 0) return;
        if (mutant != offline_without_barrier) rl::atomic_thread_fence(rl::mo_seq_cst, $);
        if (readers($).load(rl::mo_acquire) == 0) memory($) = 1;
    }

    void thread(unsigned index)
    {
        if (index == 0) reader();
        else if (index == 1) owner();
        else offliner();
    }
};

// ThreadRegistry: the block of a thread that has ended is adopted with all that is in it, by one other thread.
enum adoption_mutant { adoption_as_is, adoption_without_lock, adoption_of_a_stale_death };

template <adoption_mutant mutant>
struct adoption : rl::test_suite<adoption<mutant>, 3>
{
    atomic<int> is_alive, held;
    atomic<int> owner; // under the lock
    var<int> block;

    void before()
    {
        is_alive($) = 1;
        held($) = 0;
        owner($) = 0;
        block($) = 0;
    }

    void thread(unsigned index)
    {
        const bool stale = mutant == adoption_of_a_stale_death;
        if (index == 0)
        {
            block($) = 1;
            is_alive($).store(0, stale ? rl::mo_relaxed : rl::mo_release); // the runtime's
            return;
        }
        const bool locks = mutant != adoption_without_lock;
        while (locks && held($).exchange(1, rl::mo_seq_cst) != 0) rl::yield(1, $);
        bool is_dead = is_alive($).load(stale ? rl::mo_relaxed : rl::mo_acquire) == 0;
        bool adopted = owner($).load(rl::mo_relaxed) == 0 && is_dead;
        if (adopted) owner($).store((int)index, rl::mo_relaxed);
        if (locks) held($).store(0, rl::mo_release);
        if (adopted) block($) = block($) + 1;
    }
};

// What relacy says of a mutant nobody wants to know. It replaces operator new while a model runs: nothing is kept.
struct nowhere : std::streambuf
{
    int overflow(int character) override { return character; }
};

static int passed, failed;
static rl::iteration_t runs = 100000, mutant_runs = 20000000;
static int switches = 3; // of the recall's threads, at any steps: chance alone would need too many runs to find it

template <typename model>
static void run(const char *name, bool is_mutant, rl::scheduler_type_e search = rl::random_scheduler_type)
{
    rl::test_params parameters;
    nowhere buffer;
    std::ostream silent(&buffer);
    parameters.search_type = search;
    parameters.context_bound = switches;
    parameters.iteration_count = is_mutant ? mutant_runs : runs;
    parameters.execution_depth_limit = 5000;
    parameters.output_stream = &silent;
    parameters.progress_stream = &silent;
    bool holds = rl::simulate<model>(parameters);
    if (!holds && !is_mutant) // once more, with what happened
    {
        parameters.output_stream = &std::cout;
        rl::simulate<model>(parameters);
    }
    bool is_right = holds != is_mutant;
    if (is_right) passed++;
    else failed++;
    printf("  %s  %s: %s after %llu runs\n", is_right ? "ok    " : "FAILED", name, holds ? "holds" : "fails",
        (unsigned long long)(holds ? parameters.iteration_count : parameters.stop_iteration));
    fflush(stdout);
}

int main(int count, char **arguments)
{
    if (count > 1) runs = strtoull(arguments[1], nullptr, 10);
    const rl::scheduler_type_e bound = rl::fair_context_bound_scheduler_type;
    run<claim<claim_as_is>>("claim", false);
    run<claim<claim_without_barrier>>("claim, without its barrier", true);
    run<recall<recall_as_is>>("recall", false, bound);
    run<recall<recall_without_first>>("recall, without the first barrier", true, bound);
    run<recall<recall_without_second>>("recall, without the second barrier", true, bound);
    run<recall<recall_puts_back_blindly>>("recall, putting back over what the owner pushed", true, bound);
    run<depot<depot_as_is>>("depot", false);
    run<depot<depot_without_tag>>("depot, without the tag", true);
    run<depot<depot_with_relaxed_exchange>>("depot, with a relaxed exchange", true);
    run<offline<offline_as_is>>("a section that goes offline", false);
    run<offline<offline_without_count>>("a section that goes offline, without counting who reads", true);
    run<offline<offline_without_barrier>>("a section that goes offline, without its barrier", true);
    run<adoption<adoption_as_is>>("adoption", false);
    run<adoption<adoption_without_lock>>("adoption, without the lock", true);
    run<adoption<adoption_of_a_stale_death>>("adoption, of a thread that is not seen to have ended", true);
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
