"""What a store's trials say, for people: leaderboards, plots, one HTML page. Reads only the store.

ranking             which trial comes first, and the sentence that says why
tables              a data frame as text: cells, markdown, CSV; hostile names made harmless
leaderboard         command: the leaderboards as markdown
accuracy_plot       one row a model, three dots a row: train, valid and test accuracy
confusion           what the best trial called the studies, against what they are
data_plot           images per part, label and split
figures             what the plots share: colours, fonts, PNG
summary, html       what the page says; its template is report.html.j2
search_study        a search of either engine as an Optuna study
importances, study_plots, study    which parameters matter, Optuna's plots; command
importances_plot    the same in the report, and what chance gives
pairs               the best trials in pairs: DeLong's and McNemar's tests
mura, field_plot    is a data set MURA; our best beside what was published on it
data_look           the radiographs themselves beside a report: examples, sizes, duplicates, leaks
build               command: everything into one folder
"""
