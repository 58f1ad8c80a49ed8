namespace NativeAlloc.Os;

/// <summary>
/// Text of a file of the system, or a part of it, in a buffer of the caller. It is read in loops over bytes: each of
/// the runtime's generic helpers is one more method to be looked up, or compiled, before the first block of a process.
/// </summary>
internal readonly unsafe struct SystemText(byte* begin, int length)
{
    private readonly byte* _begin = begin;

    internal int Length { get; } = Math.Max(0, length);

    internal bool IsEmpty => Length == 0;

    internal byte this[int index] => _begin[index];

    /// <summary>Where the first such byte is, from some place on; -1 where there is none.</summary>
    internal int IndexOf(char wanted, int from = 0)
    {
        for (int i = from; i < Length; i++)
        {
            if (_begin[i] == wanted) return i;
        }
        return -1;
    }

    /// <summary>The bytes from one place up to another.</summary>
    internal SystemText Slice(int from, int end) => new(_begin + from, end - from);

    /// <summary>All from a place on.</summary>
    internal SystemText From(int from) => Slice(from, Length);

    internal bool BeginsWith(ReadOnlySpan<byte> word)
    {
        if (Length < word.Length) return false;
        for (int i = 0; i < word.Length; i++)
        {
            if (_begin[i] != word[i]) return false;
        }
        return true;
    }

    /// <summary>Takes what stands before a separator off a text, and the separator.</summary>
    internal static SystemText TakeUntil(char separator, ref SystemText text)
    {
        int end = text.IndexOf(separator);
        SystemText part = end < 0 ? text : text.Slice(0, end);
        text = end < 0 ? default : text.From(end + 1);
        return part;
    }

    /// <summary>Whether a list that commas separate has a word.</summary>
    internal bool HasWord(ReadOnlySpan<byte> word)
    {
        for (SystemText rest = this; !rest.IsEmpty;)
        {
            SystemText part = TakeUntil(',', ref rest);
            if (part.Length == word.Length && part.BeginsWith(word)) return true;
        }
        return false;
    }

    /// <summary>The number that it begins with, after spaces; null for "max", nonsense, or what is too large.</summary>
    internal ulong? Number()
    {
        int begin = 0;
        while (begin < Length && _begin[begin] is (byte)' ' or (byte)'\t') begin++;
        ulong number = 0;
        int end = begin;
        for (; end < Length && _begin[end] is >= (byte)'0' and <= (byte)'9'; end++)
        {
            ulong digit = _begin[end] - (ulong)'0';
            if (number > (ulong.MaxValue - digit) / 10) return null;
            number = number * 10 + digit;
        }
        return end == begin ? null : number;
    }

    /// <summary>One of the numbers of a line, which spaces separate; null where there are not so many.</summary>
    /// <param name="field">0 for the first.</param>
    internal ulong? NumberAt(int field)
    {
        SystemText rest = this;
        for (; field > 0; field--)
        {
            int space = rest.IndexOf(' ');
            if (space < 0) return null;
            rest = rest.From(space + 1);
        }
        return rest.Number();
    }

    /// <summary>
    /// The number in the first line that begins with a word: "MemAvailable:   21034272 kB". Null where there is none.
    /// </summary>
    internal ulong? NumberAfter(ReadOnlySpan<byte> word)
    {
        for (SystemText rest = this; !rest.IsEmpty;)
        {
            SystemText line = TakeUntil('\n', ref rest);
            if (line.Length > word.Length && line.BeginsWith(word) && line[word.Length] is (byte)' ' or (byte)'\t')
                return line.From(word.Length).Number();
        }
        return null;
    }
}

/// <summary>The path of a file of the system, in a buffer of the caller; what does not fit makes it empty.</summary>
internal unsafe ref struct SystemPath(byte* buffer, int capacity)
{
    /// <summary>Ends with a zero.</summary>
    internal readonly byte* Name => buffer;

    /// <summary>Bytes before the zero.</summary>
    internal int Length { get; private set; }

    /// <summary>False once a part did not fit.</summary>
    internal bool IsWhole { get; private set; } = true;

    internal void Append(byte[] part)
    {
        fixed (byte* bytes = part) Append(new SystemText(bytes, part.Length));
    }

    internal void Append(ReadOnlySpan<byte> part)
    {
        for (int i = 0; i < part.Length; i++) Append(part[i]);
    }

    internal void Append(SystemText part)
    {
        for (int i = 0; i < part.Length; i++) Append(part[i]);
    }

    /// <summary>Takes its end off.</summary>
    internal void Shorten(int length)
    {
        Length = Math.Min(Length, length);
        buffer[Length] = 0;
    }

    private void Append(byte one)
    {
        if (Length + 1 >= capacity)
        {
            IsWhole = false;
            return;
        }
        buffer[Length++] = one;
        buffer[Length] = 0;
    }
}
