using Xunit;

namespace NativeAlloc.AnalyzerTests;

/// <summary>Proves of each rule what it finds, and what it must leave alone.</summary>
public sealed class AnalyzerTests
{
    [Theory]
    [InlineData("IntPtr p = {|NA0001:Marshal.AllocHGlobal(n)|}; {|NA0001:Marshal.FreeHGlobal(p)|};")]
    [InlineData("void* p = {|NA0001:NativeMemory.Alloc((nuint)n)|}; {|NA0001:NativeMemory.Free(p)|};")]
    [InlineData("{|NA0001:NativeMemory.Clear(null, 0)|};")]
    [InlineData("IntPtr p = {|NA0001:Marshal.StringToHGlobalUni(\"\")|}; " +
        "{|NA0001:Marshal.ZeroFreeGlobalAllocUnicode(p)|};")]
    public void Calls_that_can_move_are_pointed_at(string body) => Code.Check(body);

    [Theory]
    [InlineData("IntPtr p = Marshal.AllocCoTaskMem(n); Marshal.FreeCoTaskMem(p);")] // stays with the system
    [InlineData("void* p = NativeAllocator.Alloc(1); NativeAllocator.Free(p);")]
    [InlineData("void* p = NativeAllocator.AlignedAlloc(1, 64); {|NA0006:NativeAllocator.AlignedFree(p)|};")]
    public void Others_are_not(string body) => Code.Check(body);

    [Theory]
    [InlineData("IntPtr p = Marshal.AllocHGlobal(n); {|NA0002:HGlobal.FreeHGlobal(p)|};")]
    [InlineData("IntPtr p = HGlobal.AllocHGlobal(n); {|NA0002:Marshal.FreeHGlobal(p)|};")]
    [InlineData("void* p = NativeMemory.Alloc(1); {|NA0002:NativeMemory.AlignedFree(p)|};")]
    [InlineData("void* p = NativeMemory.AlignedAlloc(64, 64); {|NA0002:NativeMemory.Free(p)|};")]
    [InlineData("byte* p = (byte*)NativeMemory.Alloc(1); if (b) p[0] = 1; {|NA0002:NativeAllocator.Free(p)|};")]
    [InlineData("IntPtr p = Marshal.AllocCoTaskMem(n); {|NA0002:Marshal.FreeHGlobal(p)|};")]
    [InlineData("void* p = NativeAllocator.Alloc(1); NativeAllocator.Free(p);")]
    [InlineData("void* p = NativeAllocator.AlignedAlloc(1, 64); NativeAllocator.Free(p);")]
    [InlineData("IntPtr p = b ? Marshal.AllocHGlobal(n) : HGlobal.AllocHGlobal(n); HGlobal.FreeHGlobal(p);")]
    public void Memory_freed_by_another_family_is_found(string body) => Code.Check(body);

    [Theory]
    [InlineData("void* p = {|NA0003:NativeAllocator.Alloc(1)|};")]
    [InlineData("int* p = {|NA0003:NativeAllocator.Alloc<int>(10)|}; p[0] = 1;")]
    [InlineData("void* p = {|NA0003:NativeAllocator.Alloc(1)|}; if (b) return; NativeAllocator.Free(p);")]
    [InlineData("void* p = {|NA0003:NativeAllocator.Alloc(1)|}; if (b) NativeAllocator.Free(p);")]
    [InlineData("IntPtr p = {|NA0003:Marshal.AllocHGlobal(n)|}; " +
        "while (n-- > 0) if (b) return; Marshal.FreeHGlobal(p);")]
    public void A_block_that_leaks_on_some_way_is_found(string body) => Code.Check(body);

    [Theory]
    [InlineData("void* p = NativeAllocator.Alloc(1); try { Console.WriteLine(); " +
        "} finally { NativeAllocator.Free(p); }")]
    [InlineData("void* p = NativeAllocator.Alloc(1); s_kept = p;")]
    [InlineData("void* p = NativeAllocator.Alloc(1); Keep(p);")]
    [InlineData("void* p = NativeMemory.Alloc(1); if (p == null) return; NativeMemory.Free(p);")]
    [InlineData("void* p = NativeMemory.Alloc(1); if (p != null) NativeMemory.Free(p);")]
    [InlineData("IntPtr p = Marshal.AllocHGlobal(n); if (p == IntPtr.Zero) return; Marshal.FreeHGlobal(p);")]
    [InlineData("void* p = NativeAllocator.Alloc(1); p = NativeAllocator.Realloc(p, 2); NativeAllocator.Free(p);")]
    [InlineData("void* p = null; if (b) p = NativeAllocator.Alloc(1); NativeAllocator.Free(p);")]
    [InlineData("byte* p = (byte*)NativeAllocator.Alloc(1); byte* q = p; NativeAllocator.Free(q);")]
    [InlineData("void* p = NativeAllocator.Alloc(1); Action a = () => NativeAllocator.Free(p); a();")]
    [InlineData("void* p = NativeAllocator.Alloc(1); if (b) throw new Exception(); NativeAllocator.Free(p);")]
    [InlineData("void* p = NativeAllocator.Alloc(1); var s = new Span<byte>(p, 1); Keep(p);")]
    [InlineData("void*[] a = new void*[1]; void* p = NativeAllocator.Alloc(1); a[0] = p;")]
    public void A_block_that_goes_elsewhere_is_not(string body) => Code.Check(
        $"static void* s_kept; static void Keep(void* p) {{ }} void M(int n, bool b) {{ {body} }}", isBody: false);

    [Fact]
    public void A_block_that_is_returned_is_not() => Code.Check(
        "void* M() { void* p = NativeAllocator.Alloc(1); return p; } nint N() { void* p = NativeAllocator.Alloc(1); " +
        "return (nint)p; }", isBody: false);

    [Theory]
    [InlineData("s_head = &p->Next;")]
    [InlineData("s_value = &p[0].Value;")]
    [InlineData("s_value = &(*p).Value;")]
    [InlineData("s_value = &(p->Inner.Value);")]
    [InlineData("s_value = &(p + 1)->Value;")]
    [InlineData("ref int r = ref p->Value; Keep(ref r);")]
    [InlineData("Keep(ref p->Value);")]
    [InlineData("ref Node r = ref *p; r.Value = 1;")]
    [InlineData("Keep(ref (*p).Value);")]
    [InlineData("s_text = p->Text;")]
    [InlineData("s_text = p[0].Text;")]
    [InlineData("s_text = (*p).Inner.Text;")]
    [InlineData("s_text = &p[0].Text[1];")]
    [InlineData("p[0].Inner.Value = n;", true)]
    [InlineData("p[0].Text[0] = 1;", true)]
    [InlineData("(p + 1)->Value = 1;", true)]
    [InlineData("s_text = (p + 1)->Text;")]
    [InlineData("Node* q = (*p).Next;", true)]
    [InlineData("n = p[0].Next->Value;", true)]
    public void A_block_into_which_an_address_is_kept_is_not(string body, bool leaks = false)
    {
        string alloc = leaks ? "{|NA0003:NativeAllocator.Alloc<Node>()|}" : "NativeAllocator.Alloc<Node>()";
        Code.Check("struct Inside { public int Value; public fixed byte Text[8]; } struct Node { public Node* Next; "
            + "public int Value; public Inside Inner; public fixed byte Text[8]; } static Node** s_head; "
            + "static int* s_value; static byte* s_text; static void Keep(ref int value) { } "
            + $"void M(int n) {{ Node* p = {alloc}; {body} }}", isBody: false);
    }

    [Fact]
    public void A_block_that_is_returned_by_reference_is_not() => Code.Check(
        "ref int M() { int* p = NativeAllocator.Alloc<int>(); return ref *p; } "
        + "int* N() { int* p = NativeAllocator.Alloc<int>(9); return &p[1]; }", isBody: false);

    [Theory]
    [InlineData("int* p = NativeAllocator.Alloc<int>(); NativeAllocator.Free(p); {|NA0004:p|}[0] = 1;")]
    [InlineData("int* p = NativeAllocator.Alloc<int>(); NativeAllocator.Free(p); int a = *{|NA0004:p|};")]
    [InlineData("void* p = NativeAllocator.Alloc(1); NativeAllocator.Free(p); {|NA0004:NativeAllocator.Free(p)|};")]
    [InlineData("int* p = NativeAllocator.Alloc<int>(); if (b) NativeAllocator.Free(p); p[0] = 1; " +
        "if (!b) NativeAllocator.Free(p);", true)]
    [InlineData("int* p = NativeAllocator.Alloc<int>(); NativeAllocator.Free(p); p = null;")]
    [InlineData("int* p = NativeAllocator.Alloc<int>(); NativeAllocator.Free(p); if (p == null) return;")]
    public void A_use_after_the_free_is_found_where_it_is_certain(string body, bool onlyUses = false)
    {
        if (onlyUses) body = body.Replace("NativeAllocator.Alloc<int>()", "{|NA0003:NativeAllocator.Alloc<int>()|}",
            StringComparison.Ordinal);
        Code.Check(body);
    }

    [Theory]
    [InlineData("var a = {|NA0005:new NativeArena()|};")]
    [InlineData("NativeHeap heap = {|NA0005:new NativeHeap()|}; heap.Alloc(1);")]
    [InlineData("{|NA0005:new NativeStream()|};")]
    [InlineData("var c = {|NA0005:new SlabCache(\"a\", 8)|}; c.Free(c.Alloc());")]
    [InlineData("using var a = new NativeArena();")]
    [InlineData("using (var a = new NativeArena()) a.Alloc(1);")]
    [InlineData("var a = new NativeArena(); a.Dispose();")]
    [InlineData("var a = new NativeBuffer<int>(3); GC.KeepAlive(a);")]
    [InlineData("var a = new NativeArena(); object o = a;")]
    [InlineData("var a = new NativeMemoryHandle(1);")] // its finalizer frees it
    public void An_owner_that_is_never_disposed_of_is_found(string body) => Code.Check(body);
}
