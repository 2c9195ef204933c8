//! Times that lie in several columns, and columns that only look so.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{io::Write as _, ops::Deref};

use langevin_series::io::{Fills, ReadOptions, Table, WriteOptions, Writer};
use tempfile::NamedTempFile;

/// A table with the file it is read from.
#[derive(Debug)]
struct Opened(Table, #[allow(dead_code, reason = "removed when dropped")] NamedTempFile);

impl Deref for Opened {
    type Target = Table;

    fn deref(&self) -> &Table {
        &self.0
    }
}

fn open(text: impl AsRef<str>, options: &ReadOptions) -> langevin_series::Result<Opened> {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_ref().as_bytes()).unwrap();
    Ok(Opened(Table::open(file.path(), options)?, file))
}

fn table(text: &str) -> Opened {
    open(text, &ReadOptions::default()).unwrap_or_else(|e| panic!("{e}"))
}

#[track_caller]
fn refused(text: impl AsRef<str>, options: &ReadOptions, parts: &[&str]) {
    let error = open(text, options).expect_err("should be refused").to_string();
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in {error:?}");
    }
}

/// The frequency and times of a table, the id, and the columns of numbers.
fn read(text: &str) -> (Option<String>, Option<String>, Option<String>, Vec<String>) {
    let table = table(text);
    let profile = table.profile();
    let names = profile.columns.iter().map(|c| c.name.clone()).collect();
    (profile.time.clone(), profile.frequency.clone(), profile.id.clone(), names)
}

fn rows(header: &str, count: u32, row: impl Fn(u32) -> String) -> String {
    let hole = |i: u32| if i % 7 == 3 { String::new() } else { format!("{}.5", i % 5) };
    header.to_owned() + "\n" + &(0..count).map(|i| format!("{},{}\n", row(i), hole(i))).collect::<String>()
}

#[test]
fn a_date_and_an_hour_are_one_time() {
    let some = |text: &str| Some(text.to_owned());
    let hourly = (some("date, hour"), some("1h"), None, vec!["x".to_owned()]);
    assert_eq!(read(&rows("date,hour,x", 60, |i| format!("2020-02-{:02},{}", 27 + i / 24, i % 24))), hourly);
    // Hours that end at 24 are the midnights between days.
    let last = rows("date,hour,x", 60, |i| format!("{:02}.02.2020,{}", 1 + i / 24, 1 + i % 24));
    assert_eq!(read(&last), hourly);
    assert_eq!(table(&last).calendar().origin, table("time,x\n2020-02-01 01:00,1\n2020-02-01 02:00,\n").calendar().origin);
    // Days and months that may be exchanged are settled by what follows, as in one column.
    assert_eq!(read(&rows("date,hour,x", 24 * 14, |i| format!("1/{}/2020,{}", 1 + i / 24, i % 24))), hourly);
    refused(rows("date,hour,x", 48, |i| format!("1/{}/2020,{}", 1 + i / 24, i % 24)), &ReadOptions::default(), &["day/month or month/day"]);
    let half = (some("Day, Time"), some("30min"), None, vec!["x".to_owned()]);
    let clock = |i: u32| format!("{}:{:02} {}", (i / 2 + 11) % 12 + 1, 30 * (i % 2), if i % 48 < 24 { "AM" } else { "PM" });
    assert_eq!(read(&rows("Day,Time,x", 100, |i| format!("03-Feb-20{:02},{}", 20 + i / 48, clock(i % 48)))).0, half.0);
    assert_eq!(read(&rows("Day,Time,x", 100, |i| format!("2020020{},{}", 1 + i / 48, clock(i % 48)))), half);
    let joined = rows("date,hhmm,x", 100, |i| format!("2020-02-0{},{:04}", 1 + i / 48, i % 48 / 2 * 100 + 30 * (i % 2)));
    assert_eq!(read(&joined), (some("date, hhmm"), some("30min"), None, vec!["x".to_owned()]));
    // Series that lie one behind the other, and mixed.
    let panel = rows("site,date,hour,x", 96, |i| format!("{},2020-02-0{},{}", ["A", "B"][i as usize / 48], 1 + i % 48 / 24, i % 24));
    assert_eq!(read(&panel), (some("date, hour"), some("1h"), some("site"), vec!["x".to_owned()]));
    let mixed = rows("date,hour,site,x", 96, |i| format!("2020-02-0{},{},{}", 1 + i / 48, i / 2 % 24, ["A", "B"][i as usize % 2]));
    assert_eq!(read(&mixed), (some("date, hour"), some("1h"), some("site"), vec!["x".to_owned()]));
}

#[test]
fn hours_that_are_no_time_stay_numbers() {
    let daily = Some("1d".to_owned());
    // One row a day: hours may be of sunshine, and a time of day belongs to what was measured then.
    let (time, frequency, _, names) = read(&rows("date,hours,x", 28, |i| format!("2020-02-{:02},{}", 1 + i, i % 13)));
    assert_eq!((time.as_deref(), &frequency, names), (Some("date"), &daily, vec!["hours".to_owned(), "x".to_owned()]));
    let (time, frequency, _, names) = read(&rows("date,time,x", 28, |i| format!("2020-02-{:02},{:02}:15", 1 + i, i * 7 % 24)));
    assert_eq!((time.as_deref(), &frequency, names), (Some("date"), &daily, vec!["x".to_owned()]));
    // A number of hours beyond a day.
    let (time, _, id, _) =
        read(&rows("site,date,hours,x", 28, |i| format!("{},2020-02-{:02},{}", ["A", "B"][i as usize / 14], 1 + i % 14, i * 9)));
    assert_eq!((time.as_deref(), id.as_deref()), (Some("date"), Some("site")));
    // Dates with hours of their own.
    let (time, ..) = read(&rows("date,hour,x", 28, |i| format!("2020-02-0{} {:02}:00,{}", 1 + i / 24, i % 24, i % 24)));
    assert_eq!(time.as_deref(), Some("date"));
    // Times that do not run on together are no better than dates that repeat.
    refused(
        rows("date,lap time,x", 9, |i| format!("2020-02-01,00:{:02}:10", 50 - i)),
        &ReadOptions::default(),
        &["'2020-02-01' is there already"],
    );
}

#[test]
fn a_column_for_each_number_of_a_date() {
    let some = |text: &str| Some(text.to_owned());
    let x = || vec!["x".to_owned()];
    let hourly = |i: u32| format!("2020,2,{},{}", 1 + i / 24, i % 24);
    assert_eq!(read(&rows("year,month,day,hour,x", 60, hourly)), (some("year, month, day, hour"), some("1h"), None, x()));
    assert_eq!(read(&rows("YEAR,MO,DY,HR,x", 60, hourly)).1, some("1h"));
    assert_eq!(read(&rows("day,month,year,x", 28, |i| format!("{},2,2020", 1 + i))), (some("year, month, day"), some("1d"), None, x()));
    assert_eq!(
        read(&rows("Year,Month,x", 30, |i| format!("{},{}", 2019 + i / 12, 1 + i % 12))),
        (some("Year, Month"), some("1mo"), None, x())
    );
    let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    assert_eq!(read(&rows("Year,Month,x", 30, |i| format!("{},{}", 2019 + i / 12, names[i as usize % 12]))).1, some("1mo"));
    assert_eq!(
        read(&rows("year,doy,x", 80, |i| format!("{},{}", 2020 + i / 366, 1 + i % 366))),
        (some("year, doy"), some("1d"), None, x())
    );
    let site = |i: u32| format!("{},2020,2,{}", ["A", "B"][i as usize / 20], 1 + i % 20);
    assert_eq!(read(&rows("station,year,month,day,x", 40, site)).2, some("station"));
    // A minimum is no minute, and a year alone is a year.
    let least = rows("year,month,day,hour,min,x", 60, |i| format!("2020,2,{},{},{}", 1 + i / 24, i % 24, i * 11 % 90));
    assert_eq!(read(&least), (some("year, month, day, hour"), some("1h"), None, vec!["min".to_owned(), "x".to_owned()]));
    assert_eq!(read(&rows("year,x", 30, |i| format!("{}", 1990 + i))).0, some("year"));
    // A column of whole dates is the time, whatever else is there.
    assert_eq!(read(&rows("year,month,time,x", 20, |i| format!("2020,2,2020-02-{:02}", 1 + i))).0, some("time"));
    refused(
        rows("year,month,day,x", 40, |i| if i == 38 { "2020,2,31".to_owned() } else { format!("2020,{},{}", 1 + i / 28, 1 + i % 28) }),
        &ReadOptions::default(),
        &["row 40, column 'year'", "'2020-02-31' is no time"],
    );
}

#[test]
fn columns_of_a_time_are_named() {
    let options = |names: &str| ReadOptions { time_col: names.into(), ..ReadOptions::default() };
    let text = rows("when,at,x", 60, |i| format!("2020-02-0{},{}", 1 + i / 24, i % 24));
    assert_eq!(open(&text, &options("when, at")).unwrap().profile().frequency.as_deref(), Some("1h"));
    assert_eq!(open(&text, &options("at,when")).unwrap().profile().frequency.as_deref(), Some("1h"));
    refused(&text, &options("when,x"), &["make no time together", "year, month"]);
    refused(&text, &options("when,hour"), &["no column 'hour'"]);
}

#[test]
fn forecasts_go_into_the_columns_of_their_time() {
    let ahead = |text: &str, wanted: &str| {
        let table = open(text, &ReadOptions { forecast: 2, ..ReadOptions::default() }).unwrap();
        let mut out = Vec::new();
        let mut writer = Writer::create(&table, &mut out, WriteOptions::default()).unwrap();
        for block in table.blocks().unwrap() {
            let block = block.unwrap();
            writer.block(&block, &Fills::none(&block, 0)).unwrap();
        }
        writer.finish().unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), format!("{text}{wanted}"));
    };
    let text =
        |header: &str, row: &dyn Fn(usize) -> String| header.to_owned() + "\n" + &(0..47).map(|i| row(i) + ",1\n").collect::<String>();
    ahead(&text("date,hour,x", &|i| format!("2020-12-{},{}", 30 + i / 24, i % 24)), "2020-12-31,23,\n2021-01-01,0,\n");
    ahead(&text("date,hour,x", &|i| format!("{}.12.2020,{:02}", 30 + i / 24, 1 + i % 24)), "31.12.2020,24,\n01.01.2021,01,\n");
    ahead(&text("hour,day,month,year,x", &|i| format!("{},{},12,2020", i % 24, 30 + i / 24)), "23,31,12,2020,\n0,1,1,2021,\n");
    let time = |i: usize| format!("{}:00 {}", (i + 11) % 12 + 1, if i % 24 < 12 { "AM" } else { "PM" });
    ahead(
        &text("a,time,date,x", &|i| format!("2,{},{}-Dec-2020", time(i), 30 + i / 24)),
        ",11:00 PM,31-Dec-2020,\n,12:00 AM,01-Jan-2021,\n",
    );
}
