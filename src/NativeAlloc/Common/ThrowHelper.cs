using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace NativeAlloc.Common;

/// <summary>
/// Every error of the library is worded here: it names the pointer or number, what was expected, and what to do. None
/// of these is inlined, so a check costs its caller a comparison and a call that is never made.
/// </summary>
internal static unsafe partial class ThrowHelper
{
    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowPlatformNotSupported() =>
        throw new PlatformNotSupportedException(
            "NativeAlloc does not run on this system. It needs a 64-bit process on Linux, Windows or macOS.");

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowOutOfMemory(nuint byteCount, Exception? shrinkerError = null) =>
        throw new OutOfMemoryException(
            $"NativeAlloc could not get {byteCount} bytes: neither its own free memory nor the system has them. " +
            "Nothing was changed; free something or raise the limit of the process or container, and try again.",
            shrinkerError);

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowCannotBegin(nuint addressBytes, nuint tableBytes) => throw new OutOfMemoryException(
        $"NativeAlloc cannot begin: it needs {addressBytes} bytes of addresses, and {tableBytes} of them for tables, " +
        "and the system refuses these. The process may have no more ('ulimit -v', 'ulimit -d'), or has too many " +
        "mappings (vm.max_map_count). Nothing was set up; the next call tries again.");

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowNeverPossible(nuint byteCount, nuint mostBytes) => throw new OutOfMemoryException(
        $"NativeAlloc can never get {byteCount} bytes: that is more than the {mostBytes} bytes of addresses that it " +
        "reserved for large blocks. Look how the size comes about, as a negative number becomes a large one, or set " +
        "the option VmallocReserveBytes to more. Nothing was changed.");

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowOutOfAddresses(nuint byteCount, nuint reservedBytes, Exception? shrinkerError) =>
        throw new OutOfMemoryException(
            $"NativeAlloc could not get {byteCount} bytes: of the {reservedBytes} bytes of addresses that it " +
            "reserved for large blocks no piece of this size is free. "
            + "Nothing was changed; free large blocks, or set the option VmallocReserveBytes to more.", shrinkerError);

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowOutOfMappings(nuint byteCount, int mappings, Exception? shrinkerError) =>
        throw new OutOfMemoryException(
            $"NativeAlloc could not get {byteCount} bytes: that takes a mapping of the system, and the library uses " +
            $"all of the {mappings} that it allows itself (half of vm.max_map_count). "
            + "Nothing was changed; free large blocks or raise that limit, and try again.", shrinkerError);

    /// <param name="residentBytes">What the process has, where the limit is derived from the machine; else
    /// null.</param>
    /// <param name="chargedBytes">What of the library may have memory behind it.</param>
    /// <param name="liveBytes">The part of it that users hold.</param>
    /// <param name="cachedBytes">The part of it that could be given back.</param>
    /// <param name="wasReclaimed">Memory was given back in vain. Else no reclaim could have been enough, or the thread
    /// is reclaiming already.</param>
    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowResidentLimit(
        nuint byteCount, nuint limitBytes, nuint? residentBytes, nuint chargedBytes, nuint liveBytes, nuint cachedBytes,
        bool wasReclaimed, Exception? shrinkerError)
    {
        string limit = TextOfLimit(limitBytes, isDerived: residentBytes != null);
        string parts = $"of which {liveBytes} are live in NativeAllocator and {cachedBytes} cached";
        string where = residentBytes is { } resident
            ? $"{resident} bytes are resident in the process; {chargedBytes} bytes of NativeAlloc may have memory, " +
                $"{parts}"
            : $"{chargedBytes} bytes are resident at most, {parts}";
        string tried = wasReclaimed
            ? ", also after caches were emptied, free memory and kept areas given back and shrinkers asked"
            : "; nothing was given back for it, as that would not be enough or is being done already";
        throw new OutOfMemoryException(
            $"NativeAlloc could not get {byteCount} bytes without going beyond {limit}: {where}{tried}. Nothing was " +
            "changed; free something or raise the limit, and try again.", shrinkerError);
    }

    /// <summary>For a request that is larger than the limit by itself: what there is otherwise says nothing about
    /// it.</summary>
    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowBeyondLimit(nuint byteCount, nuint limitBytes, bool isDerived) =>
        throw new OutOfMemoryException(
            $"NativeAlloc could not get {byteCount} bytes: that is more than {TextOfLimit(limitBytes, isDerived)}. " +
            "So nothing was given back for it, and nothing was changed; ask for less or raise the limit.");

    private static string TextOfLimit(nuint limitBytes, bool isDerived)
    {
        string source = isDerived
            ? "derived from the memory of the machine or container"
            : "the option ResidentLimitBytes";
        return $"the resident limit of {limitBytes} bytes ({source})";
    }

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowSizeOverflow(nuint elementCount, nuint elementSize) =>
        throw new OutOfMemoryException(
            $"NativeAlloc was asked for {elementCount} elements of {elementSize} bytes, which is more than the " +
            "address space holds.");

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowBadAlignment(nuint alignment) =>
        throw new ArgumentException($"The alignment is {alignment}; it must be a power of two.", nameof(alignment));

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowForeign(void* ptr) =>
        throw new ArgumentException(
            $"The pointer 0x{(nuint)ptr:x} was not allocated by NativeAlloc, or was freed before. Give it back to " +
            "the allocator that it came from.", nameof(ptr));

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowOfArena(void* ptr, void* chunk, nuint chunkBytes) =>
        throw new ArgumentException(
            $"The pointer 0x{(nuint)ptr:x} lies in a NativeArena, in its chunk of {chunkBytes} bytes at " +
            $"0x{(nuint)chunk:x}. "
            + "Blocks of an arena are freed all at once, by NativeArena.Reset or Dispose.", nameof(ptr));

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowInterior(void* ptr, void* block, nuint blockBytes) =>
        throw new ArgumentException(
            $"The pointer 0x{(nuint)ptr:x} is not the beginning of a block: it lies {(nuint)ptr - (nuint)block} " +
            $"bytes inside the block of {blockBytes} bytes at 0x{(nuint)block:x}. Pass the pointer that the " +
            "allocation returned.", nameof(ptr));

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowNotVmalloc(void* ptr) =>
        throw new ArgumentException(
            $"The pointer 0x{(nuint)ptr:x} is no block of Vmalloc.Alloc, or was freed before. Give memory back by " +
            "the twin of what it was taken with.", nameof(ptr));

    /// <summary>
    /// Ends the process: an object has come back that cannot have been handed out, so somebody may be using memory that
    /// is somebody else's.
    /// </summary>
    /// <param name="objectBytes">The size class.</param>
    /// <param name="block">The block that an interior pointer lies in; null for a double free.</param>
    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void StopOnBadFree(void* ptr, nuint objectBytes, void* block) =>
        FatalError.Stop(block == null
            ? $"NativeAlloc: double free of 0x{(nuint)ptr:x} (size class {objectBytes} B): the object is free in its " +
                "slab already. It was freed twice some time ago, or was never allocated; the second free may have " +
                "given the memory to two owners."
            : $"NativeAlloc: free of 0x{(nuint)ptr:x} (size class {objectBytes} B), which is not the beginning of an " +
                $"object: the nearest one is at 0x{(nuint)block:x}. Pass the pointer that the allocation returned.");

    /// <summary>Ends the process: a magazine that frees have filled has an object twice.</summary>
    /// <param name="objectBytes">The size class.</param>
    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void StopOnTwiceInMagazine(void* ptr, nuint objectBytes) => FatalError.Stop(
        $"NativeAlloc: double free of 0x{(nuint)ptr:x} (size class {objectBytes} B): the thread's magazine has it " +
        "twice. Either one owner freed it twice, or it had two owners since an earlier double free and both freed it.");

    /// <summary>Check mode: a call was wrong.</summary>
    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowMisuse(string what) => throw new ArgumentException("NativeAlloc: " + what);

    /// <summary>Check mode: memory was overwritten.</summary>
    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowDamage(string what) => throw new InvalidOperationException("NativeAlloc: " + what);

    /// <summary>A block was passed on that its allocator knows to be free.</summary>
    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowIsFree(void* ptr, nuint blockBytes) =>
        throw new ArgumentException(
            $"The block of {blockBytes} bytes at 0x{(nuint)ptr:x} is free: it was freed before, or never allocated. " +
            "Do not use a pointer after its free.", nameof(ptr));

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowTooManyCaches(int most) => throw new InvalidOperationException(
        $"There are {most} slab caches already, as many as there can be; dispose of one that is not needed any more.");

    /// <summary>Ends the process: an object came back whose slab is gone.</summary>
    /// <param name="ptr">The object.</param>
    /// <param name="objectBytes">The size class that it was freed as.</param>
    /// <param name="now">What its page is now.</param>
    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void StopOnStaleFree(void* ptr, nuint objectBytes, string now) => FatalError.Stop(
        $"NativeAlloc: double free of 0x{(nuint)ptr:x} (size class {objectBytes} B): " +
        $"the slab that it was an object of is gone, and its page is {now}. " +
        "It was freed twice some time ago; the second free may have given the memory to two owners.");

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowOutOfPages(nuint byteCount, int? onlyNode, Exception? shrinkerError) =>
        throw new OutOfMemoryException(
            $"NativeAlloc could not get {byteCount} bytes of pages side by " +
            $"side{(onlyNode is { } node ? $" from node {node}, and no other was to be asked" : "")}: neither its " +
            "zones nor the system have them, also after caches were emptied, shrinkers asked and free memory given " +
            "back. Nothing was changed.", shrinkerError);

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowLockLimit(nuint byteCount, ulong? limitBytes, ulong? lockedBytes, Exception? error)
    {
        string why = limitBytes is { } most && (lockedBytes ?? most) + byteCount > most
            ? $"the process may lock {most} bytes in all (RLIMIT_MEMLOCK), and has locked {lockedBytes}. Raise it by " +
                "'ulimit -l', LimitMEMLOCK= in a systemd unit, or --ulimit memlock= of a container, give the process " +
                "CAP_IPC_LOCK, or free other DMA pages"
            : "the system refused, and not for the limit of locked memory (RLIMIT_MEMLOCK): it has no memory for " +
                "them, no room for one more mapping (vm.max_map_count), or forbids it";
        throw new OutOfMemoryException($"NativeAlloc could not lock {byteCount} bytes of DMA pages into memory: {why}. "
            + "Nothing was changed.", error);
    }

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowBadOrder(int order, int maxOrder) =>
        throw new ArgumentOutOfRangeException(nameof(order), order,
            $"The order is {order}; it must be 0 to {maxOrder}.");

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowBadNode(int node, int nodeCount) =>
        throw new ArgumentOutOfRangeException(nameof(node), node,
            $"The node is {node}; this machine has {nodeCount}, counted from 0.");

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowTooManyBytes(nuint byteCount, nuint largest) =>
        throw new ArgumentOutOfRangeException(nameof(byteCount), byteCount,
            $"{byteCount} bytes are more than a block of pages holds, {largest}. NativeAllocator.Alloc takes any " +
            "size.");

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowBadFlags(string why, string flags) =>
        throw new ArgumentException($"The flags {flags} do not go together: {why}.", nameof(flags));

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowHighHasNoAddress(string flags) =>
        throw new ArgumentException(
            $"A high page has no address, and the flags are {flags}. Take it by PageAllocator.AllocPages and map it " +
            "where it is needed, or leave PageFlags.High out.", nameof(flags));

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowNoPage() => throw new InvalidOperationException(
        "This is no page: the default value, or the answer to an address that is not NativeAlloc's.");

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowNoPage(string parameter) => throw new ArgumentException(
        "This is no page: the default value, or the answer to an address that is not NativeAlloc's.", parameter);

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowInsidePage(void* address, uint page) =>
        throw new ArgumentException(
            $"The address 0x{(nuint)address:x} lies inside page {page}; blocks of pages begin where a page does. " +
            "Pass the address that the allocation returned.", nameof(address));

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowPageIsFree(uint page) =>
        throw new ArgumentException($"Page {page} is free already: it was freed twice, or never taken.", nameof(page));

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowOtherOrder(uint page, int order, int given) =>
        throw new ArgumentException(
            $"Page {page} is the first of a block of order {order}; it was freed with order {given}. Pass the order " +
            "that it was taken with.", nameof(order));

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowNotExact(uint page, int order) =>
        throw new ArgumentException(
            $"Page {page} is the first of a block of order {order}, and PageAllocator.FreeExact takes blocks of " +
            "PageAllocator.AllocExact. Give it back by PageAllocator.FreePages.", nameof(page));

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowOtherPageCount(uint page, uint count, nuint byteCount) =>
        throw new ArgumentException(
            $"Page {page} is the first of {count} pages; it was freed with {byteCount} bytes, which are another " +
            "number of pages. Pass the size that was asked for.", nameof(byteCount));

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowInsideBlock(uint page, uint head, uint count) =>
        throw new ArgumentException(
            $"Page {page} lies {page - head} pages inside the block of {count} pages that begins at page {head}. " +
            "Pass the first page, as the allocation returned it.", nameof(page));

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowNotAPageBlock(uint page, string state) =>
        throw new ArgumentException(
            $"Page {page} is not the first of a block that this member frees: it is in use as '{state}'. Give memory " +
            "back by the twin of what it was taken with.", nameof(page));

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowNotOfCache(void* ptr, string cache) =>
        throw new ArgumentException(
            $"The pointer 0x{(nuint)ptr:x} is not an object of the slab cache '{cache}'. Free it where it was " +
            "allocated.", nameof(ptr));

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowInsideObject(void* ptr, void* beginning, nuint objectBytes, string cache) =>
        throw new ArgumentException(
            $"The pointer 0x{(nuint)ptr:x} is not the beginning of an object of the slab cache '{cache}': it lies " +
            $"{(nuint)ptr - (nuint)beginning} bytes inside the object of {objectBytes} bytes at " +
            $"0x{(nuint)beginning:x}. Pass the pointer that the allocation returned.", nameof(ptr));

    /// <summary>Ends the process: a page is in two lists, so two owners may be using it.</summary>
    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void StopOnBadPage(uint page) =>
        FatalError.Stop(
            $"NativeAlloc: double free of page {page}: two threads freed it at the same time, and it may have been " +
            "given to two owners since.");

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowWrongOption(string error) =>
        throw new InvalidOperationException($"NativeAlloc: {error}. Correct it, or leave it out for the default.");

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowOptionOutOfRange(string option, Int128 value, string range) =>
        throw new ArgumentOutOfRangeException(option, value,
            $"The option {option} is {value}; it must be {range}, or null for the default.");

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowTooLateToConfigure() =>
        throw new InvalidOperationException(
            "NativeAllocator.Configure came too late: the allocator has been used or configured already, and its " +
            "options are constants from then on. Call it once, at the beginning of the program.");

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowMapOfFreePage(uint page) =>
        throw new ArgumentException(
            $"Page {page} is free: it was given back, or never taken. Map a page only between taking and freeing it.",
            nameof(page));

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowNotMapped(uint page) =>
        throw new ArgumentException(
            $"Page {page} is not mapped by PersistentMap: it never was, or was unmapped as often as it was mapped.",
            nameof(page));

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowNotHigh(string page, string parameter) =>
        throw new ArgumentException(
            $"Only high pages can be mapped at an address, and this is {page}, which has one of its own for good. " +
            "Take it with PageFlags.High, and where the zone of what you got is another, the system had no high " +
            "pages to give.", parameter);

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowBadSlot(int slot, int slotCount) =>
        throw new ArgumentOutOfRangeException(nameof(slot), slot,
            $"The slot is {slot}; it must be 0 to {slotCount - 1}.");

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowCannotMap(nuint pages) =>
        throw new OutOfMemoryException(
            $"NativeAlloc could not map {pages} pages: the system refused, the process has as many mappings as this " +
            "library allows itself (half of vm.max_map_count), or the addresses for maps and large blocks (option " +
            "VmallocReserveBytes) have no piece of this size left. Nothing was changed; unmap something or raise " +
            "what is too low, and try again.");

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowNothingToMap(string parameter) =>
        throw new ArgumentException("There are no pages to map; it takes at least one.", parameter);

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowNoPageInMap(int at, string parameter) =>
        throw new ArgumentException(
            $"{parameter}[{at}] is no page: the default value, or the answer to an address that is not NativeAlloc's.",
            parameter);

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowFreePageInMap(uint page, int at, string parameter) =>
        throw new ArgumentException(
            $"Page {page} ({parameter}[{at}]) is free: it was given back, or never taken. Map a page only between " +
            "taking and freeing it.", parameter);

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowNoMap(void* address) =>
        throw new ArgumentException(
            $"No map of Vmalloc.Map begins at 0x{(nuint)address:x}: none ever did, or it was unmapped before. Pass " +
            "the address that Map returned, once.", nameof(address));

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowInsideMap(void* address, void* map, uint pages) =>
        throw new ArgumentException(
            $"The address 0x{(nuint)address:x} lies {(nuint)address - (nuint)map} bytes inside the map of {pages} " +
            $"pages at 0x{(nuint)map:x}. Pass the address that Vmalloc.Map returned.", nameof(address));

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowNotAMap(void* address, void* area) =>
        throw new ArgumentException(
            $"The address 0x{(nuint)address:x} lies in the memory at 0x{(nuint)area:x}, which is of Vmalloc.Alloc " +
            "and not of Vmalloc.Map. Give it back by Vmalloc.Free.", nameof(address));

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowBadWindow(int length, nuint ringBytes) =>
        throw new ArgumentOutOfRangeException(nameof(length), length,
            $"The length is {length}; it must be 0 to {ringBytes}, the bytes of the ring.");

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowNotOfHeap(void* ptr, string heap) =>
        throw new ArgumentException(
            $"The pointer 0x{(nuint)ptr:x} is not a block of the heap '{heap}', or was freed before. Free it where it "
            + "was allocated.", nameof(ptr));

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowHeapLimit(nuint byteCount, string heap, nuint limitBytes, nuint liveBytes) =>
        throw new OutOfMemoryException(
            $"The heap '{heap}' could not get {byteCount} bytes: its limit is {limitBytes} bytes, of which " +
            $"{liveBytes} are in use. Nothing was changed; free something of it, or give it a higher limit.");

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowHeapInRealloc(string heap) => throw new InvalidOperationException(
        $"The heap '{heap}' cannot be emptied while one of its blocks changes its size: a shrinker that Realloc " +
        "called tried to reset or dispose of it. Nothing was freed; do it after Realloc has returned.");

    /// <summary>The same error, with the name that the parameter has in the member that was called.</summary>
    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowRenamed(ArgumentException error, string parameter)
    {
        string suffix = $" (Parameter '{error.ParamName}')";
        string message = error.Message.EndsWith(suffix, StringComparison.Ordinal)
            ? error.Message[..^suffix.Length]
            : error.Message;
        throw new ArgumentException(message, parameter, error.InnerException);
    }

    /// <summary>Ends the process: a C library gave a pointer that is no block, and no exception may go to it.</summary>
    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void StopOnBadCallback(string function, Exception error) =>
        FatalError.Stop($"NativeAlloc: a native library called {function} wrongly. {error.Message}");

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowDisposed(string name) => throw new ObjectDisposedException(name);

    [DoesNotReturn]
    internal static void ThrowCacheInUse(string cache, long live) => throw new InvalidOperationException(
        $"The slab cache '{cache}' cannot be disposed of: {live} of its objects are still in use. Free them first.");

    /// <summary>A list of numbers that the system gave is written in another way.</summary>
    [DoesNotReturn]
    internal static void ThrowNotAList(string text) =>
        throw new FormatException($"'{text}' is not a list such as 0-3,8");
}
