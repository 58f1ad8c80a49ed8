using System.Diagnostics;
using NativeAlloc.Os;

namespace NativeAlloc.Checking;

/// <summary>
/// All blocks that check mode knows, found by where their inner block begins: a hash table with chains, whose entries
/// have numbers from 1 on. It lies in address space of its own, away from what users can overrun. Its user has a lock.
/// </summary>
internal unsafe struct BlockTable
{
    private const int BucketBits = 18, MostBlocks = 1 << 24;

    private const ulong Multiplier = 0x9E37_79B9_7F4A_7C15; // see MagazineCheck

    private MetadataRegion _buckets, _blocks;

    /// <summary>Entries that have ever been used, and the first of those that are free again.</summary>
    private uint _end, _free;

    /// <summary>One more than the largest number; numbers that are not in use have an inner block of 0.</summary>
    internal readonly uint End => _end;

    internal readonly CheckedBlock* At(uint number)
    {
        Debug.Assert(number != 0 && number < _end, "the number has been given out");
        return (CheckedBlock*)_blocks.Address + number;
    }

    /// <summary>Adds a block and returns its number; 0 where there is no memory for it.</summary>
    internal uint Add(in CheckedBlock block)
    {
        uint number = TakeNumber();
        if (number == 0) return 0;
        CheckedBlock* added = At(number);
        *added = block;
        uint* bucket = BucketOf(block.Inner);
        added->NextInBucket = *bucket;
        *bucket = number;
        return number;
    }

    /// <summary>The number of the block whose inner block begins there; 0 for none.</summary>
    internal readonly uint Find(nuint inner)
    {
        if (!_buckets.IsUsable) return 0;
        uint number = *BucketOf(inner);
        while (number != 0 && At(number)->Inner != inner) number = At(number)->NextInBucket;
        return number;
    }

    internal void Remove(uint number)
    {
        CheckedBlock* block = At(number);
        uint* link = BucketOf(block->Inner);
        while (*link != number) link = &At(*link)->NextInBucket;
        *link = block->NextInBucket;
        *block = default;
        block->NextInBucket = _free;
        _free = number;
    }

    private readonly uint* BucketOf(nuint inner) =>
        (uint*)_buckets.Address + (unchecked(inner * Multiplier) >> (64 - BucketBits));

    private uint TakeNumber()
    {
        if (_free != 0)
        {
            uint number = _free;
            _free = At(number)->NextInBucket;
            return number;
        }
        if (_end == 0)
        {
            _buckets = MetadataRegion.Reserve(sizeof(uint) << BucketBits);
            _blocks = MetadataRegion.ReserveUpTo((nuint)MostBlocks * (nuint)sizeof(CheckedBlock));
            _end = 1; // 0 is none
        }
        bool hasRoom = _end < MostBlocks && _buckets.TryCommitTo(sizeof(uint) << BucketBits)
            && _blocks.TryCommitTo((nuint)(_end + 1) * (nuint)sizeof(CheckedBlock));
        return hasRoom ? _end++ : 0;
    }
}
