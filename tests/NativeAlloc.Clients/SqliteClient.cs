using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace NativeAlloc.Clients;

/// <summary>
/// SQLite, whose allocator is set by <c>sqlite3_config(SQLITE_CONFIG_MALLOC)</c> before its first use.
/// </summary>
internal static unsafe partial class SqliteClient
{
    private const int ConfigMalloc = 4;

    internal static void Run(bool native, int scale)
    {
        if (native)
        {
            Methods methods = new()
            {
                Malloc = &Malloc,
                Free = NativeCallbacks.Free,
                Realloc = &Realloc,
                Size = &Size,
                RoundUp = &RoundUp,
                Initialize = &Initialize,
                Shutdown = &Shutdown,
            };
            Program.Check(Configure(ConfigMalloc, &methods) == 0, "sqlite3_config refused");
        }
        Batteries_V2.Init();
        using (SqliteConnection connection = new("Data Source=:memory:;Pooling=False"))
        {
            connection.Open();
            Work(connection, 20_000 * scale);
        }
        if (native)
        {
            raw.sqlite3_shutdown();
            Program.Check(NativeAllocator.GetStatistics().LiveBlocks == 0, "SQLite left blocks");
        }
    }

    private static void Work(SqliteConnection connection, int rows)
    {
        Execute(connection, "create table people(id integer primary key, name text, age int, note blob)");
        using (SqliteTransaction transaction = connection.BeginTransaction())
        {
            using SqliteCommand insert = connection.CreateCommand();
            insert.CommandText = "insert into people(name, age, note) values($name, $age, $note)";
            SqliteParameter name = insert.Parameters.Add("$name", SqliteType.Text);
            SqliteParameter age = insert.Parameters.Add("$age", SqliteType.Integer);
            SqliteParameter note = insert.Parameters.Add("$note", SqliteType.Blob);
            for (int i = 0; i < rows; i++)
            {
                (name.Value, age.Value, note.Value) = ($"person {i * 7919 % rows}", i % 90, new byte[i % 200]);
                insert.ExecuteNonQuery();
            }
            transaction.Commit();
        }
        Execute(connection, "create index by_name on people(name)");
        Execute(connection, "delete from people where age < 10");
        Execute(connection, "update people set note = zeroblob(500) where age = 20");
        long expected = Enumerable.Range(0, rows).Count(i => i % 90 >= 10);
        Program.Check(Scalar(connection, "select count(*) from people") == expected, "SQLite lost rows");
        Program.Check(Scalar(connection,
            "select count(*) from (select a.name from people a join people b on a.name = b.name group by a.name " +
            "order by a.name desc)") > 0, "the join is empty");
        using SqliteCommand check = connection.CreateCommand();
        check.CommandText = "pragma integrity_check";
        Program.Check((string)check.ExecuteScalar()! == "ok", "the database is broken");
    }

    private static void Execute(SqliteConnection connection, string text)
    {
        using SqliteCommand command = connection.CreateCommand();
        command.CommandText = text;
        command.ExecuteNonQuery();
    }

    private static long Scalar(SqliteConnection connection, string text)
    {
        using SqliteCommand command = connection.CreateCommand();
        command.CommandText = text;
        return (long)command.ExecuteScalar()!;
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void* Malloc(int bytes) => NativeAllocator.TryAlloc((nuint)bytes, out void* block) ? block : null;

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void* Realloc(void* block, int bytes) =>
        NativeAllocator.TryRealloc(ref block, (nuint)bytes) ? block : null;

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int Size(void* block) => (int)NativeAllocator.UsableSize(block);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int RoundUp(int bytes) => (bytes + 15) & ~15;

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int Initialize(void* data) => 0;

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void Shutdown(void* data)
    {
    }

    [LibraryImport("e_sqlite3", EntryPoint = "sqlite3_config")]
    private static partial int Configure(int option, Methods* methods);

    private struct Methods
    {
        internal delegate* unmanaged[Cdecl]<int, void*> Malloc;
        internal delegate* unmanaged[Cdecl]<void*, void> Free;
        internal delegate* unmanaged[Cdecl]<void*, int, void*> Realloc;
        internal delegate* unmanaged[Cdecl]<void*, int> Size;
        internal delegate* unmanaged[Cdecl]<int, int> RoundUp;
        internal delegate* unmanaged[Cdecl]<void*, int> Initialize;
        internal delegate* unmanaged[Cdecl]<void*, void> Shutdown;
        internal void* Data;
    }
}
