namespace NativeAlloc.Benchmarks.Charts;

/// <summary>The beginning of the page: its style sheet, with the colours of the light and of the dark theme.</summary>
internal static class PageStyle
{
    public const string Head = """
        <!DOCTYPE html>
        <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
        <title>NativeAlloc, compared</title>
        <style>
        :root { color-scheme: light dark; --page: #f7f7f5; --card: #fff; --text: #33322f; --faint: #6b6a65;
          --grid: #dedcd6; --series-0: #2a78d6; --series-1: #1baf7a; --series-2: #eda100; --series-3: #008300;
          --series-4: #4a3aa7; --series-5: #e34948; --series-6: #e87ba4; --series-7: #eb6834; }
        @media (prefers-color-scheme: dark) { :root { --page: #141413; --card: #1f1f1d; --text: #dcdad3;
          --faint: #9a988f; --grid: #3a3935; --series-0: #3987e5; --series-1: #199e70; --series-2: #c98500;
          --series-3: #2fa52f; --series-4: #9085e9; --series-5: #e66767; --series-6: #d55181; --series-7: #d95926; } }
        body { margin: 0; background: var(--page); color: var(--text);
          font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
        main { max-width: 1200px; margin: 0 auto; padding: 24px 20px 60px; }
        h1 { font-size: 26px; margin: 0; } h2 { font-size: 19px; margin: 36px 0 0; }
        p { margin: 4px 0 12px; color: var(--faint); } small { color: var(--faint); font-weight: 400; }
        .legend { position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 0;
          padding: 10px 0; list-style: none; background: var(--page); border-bottom: 1px solid var(--grid); }
        .legend i { display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin-right: 6px; }
        .grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(340px, 100%), 1fr)); gap: 14px; }
        figure { margin: 0; padding: 10px 14px 8px; background: var(--card); border: 1px solid var(--grid);
          border-radius: 8px; min-width: 0; }
        figcaption { font-weight: 600; overflow-wrap: anywhere; } figure svg { display: block; width: 100%; }
        table { border-collapse: collapse; font-size: 13.5px; font-variant-numeric: tabular-nums; }
        th, td { text-align: left; padding: 3px 14px 3px 0; border-bottom: 1px solid var(--grid); }
        th { font-weight: 600; color: var(--faint); vertical-align: top; } .wide { overflow-x: auto; }
        pre { padding: 12px 14px; background: var(--card); border: 1px solid var(--grid); border-radius: 8px;
          white-space: pre-wrap; overflow-wrap: anywhere; } summary { cursor: pointer; }
        .failed { color: var(--series-5); }
        </style></head><body><main>

        """;
}
