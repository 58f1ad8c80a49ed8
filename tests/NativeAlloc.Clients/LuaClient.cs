using KeraLua;

namespace NativeAlloc.Clients;

/// <summary>Lua, each state of which may have an allocator of its own: here a heap that ends with it.</summary>
internal static unsafe class LuaClient
{
    private const string Script = """
        local words = {}
        for i = 1, 40000 do words[i] = "word " .. (i * 7919 % 40000) end
        table.sort(words)
        local counts = {}
        for _, word in ipairs(words) do counts[word] = (counts[word] or 0) + 1 end
        local functions = {}
        for i = 1, 40000 do functions[i] = function(x) return x + i end end
        local sum = 0
        for i = 1, #functions do sum = sum + functions[i](i) end
        local text = {}
        for i = 1, 20000 do text[#text + 1] = string.rep("x", i % 50) end
        return sum + #table.concat(text, ",")
        """;

    internal static void Run(bool native, int scale)
    {
        for (int round = 0; round < scale; round++)
        {
            using NativeHeap heap = new($"lua-{round}");
            LuaAlloc allocate = (_, block, _, bytes) => Allocate(heap, (void*)block, bytes);
            using Lua lua = native ? new Lua(allocate, 0) : new Lua();
            lua.OpenLibs();
            Program.Check(!lua.DoString(Script), $"Lua failed: {lua.ToString(-1)}");
            Program.Check(lua.ToInteger(-1) == 1_600_040_000 + 490_000 + 19_999, $"Lua says {lua.ToInteger(-1)}");
            if (native) Program.Check(heap.LiveBytes > 1_000_000, "Lua did not use the heap");
            lua.Close();
            Program.Check(heap.LiveBytes == 0, "Lua left blocks");
            GC.KeepAlive(allocate);
        }
    }

    private static nint Allocate(NativeHeap heap, void* block, nuint bytes)
    {
        if (bytes == 0)
        {
            heap.Free(block);
            return 0;
        }
        try
        {
            return (nint)heap.Realloc(block, bytes);
        }
        catch (OutOfMemoryException)
        {
            return 0; // Lua collects its garbage and asks again
        }
    }
}
