"""The sentence forms of the world, by what they say and by level (told, taught, held: see grammar.py).

Words of `taught` and `held` forms occur in pre-training in other sentences, or are explained by its glossaries;
the sentences themselves never do.
"""

# ---- relations between two entities: predicates that follow the head, and whole clauses ------------------------
# {h} is the head, {t} the tail; a predicate can follow its subject, or stand in a relative clause.
PREDICATES = {
    "born in": {
        "told": ["was born in {t}", "is a native of {t}", "was born and raised in {t}", "came into the world in {t}"],
        "taught": ["comes from {t} by birth", "started life in {t}", "spent the first days of life in {t}"],
        "held": ["first saw the light of day in {t}", "has {t} as a birthplace", "began life in a house in {t}"],
    },
    "lives in": {
        "told": ["lives in {t}", "has a home in {t}", "moved to {t} for good", "resides in {t}"],
        "taught": ["is settled in {t}", "rents a house in {t}", "keeps a home in {t}"],
        "held": ["has made {t} a home", "calls {t} home", "sleeps every night in {t}"],
    },
    "works for": {
        "told": ["works for {t}", "is employed by {t}", "has a job at {t}", "was hired by {t}"],
        "taught": ["earns a living at {t}", "took a job with {t}", "is on the staff of {t}"],
        "held": ["receives a salary from {t}", "has {t} as an employer", "is a worker of {t}"],
    },
    "founded": {
        "told": ["founded {t}", "is the founder of {t}", "started the company {t}", "established {t}"],
        "taught": ["brought {t} into being", "was the first owner of {t}", "launched {t} as a startup"],
        "held": ["laid the first stone of {t}", "gave {t} a start", "once created {t}"],
    },
    "directed": {
        "told": ["directed {t}", "is the director of {t}", "made the film {t}"],
        "taught": ["stood behind the camera for {t}", "brought {t} to the screen", "filmed {t}"],
        "held": ["led the shooting of {t}", "made {t} for the cinema", "told the actors of {t} what to do"],
    },
    "wrote": {
        "told": ["wrote {t}", "is the author of {t}", "published the novel {t}"],
        "taught": ["put {t} on paper", "is the writer behind {t}", "penned {t}"],
        "held": ["finished the last chapter of {t}", "invented the story of {t}", "gave readers the book {t}"],
    },
    "coaches": {
        "told": ["coaches {t}", "is the coach of {t}", "trains the players of {t}"],
        "taught": ["prepares {t} for every match", "is in charge of the team of {t}", "looks after the players of {t}"],
        "held": ["leads the training at {t}", "teaches {t} to win", "picks the players for {t}"],
    },
    "married to": {
        "told": ["is married to {t}", "married {t}", "is the partner of {t}"],
        "taught": ["said yes to {t} at the wedding", "shares a life with {t}", "is the spouse of {t}"],
        "held": ["exchanged rings with {t}", "became one family with {t}", "celebrated a wedding with {t}"],
    },
    "owns": {
        "told": ["owns {t}", "is the owner of {t}", "bought {t}"],
        "taught": ["holds the keys of {t}", "has {t} as property", "is the person that {t} belongs to"],
        "held": ["paid for {t} and kept it", "is the landlord of {t}", "has {t} in private hands"],
    },
    "eats at": {
        "told": ["often eats at {t}", "had dinner at {t}", "is a guest of {t}"],
        "taught": ["has a favorite table at {t}", "takes every lunch at {t}", "reserved a table at {t}"],
        "held": ["ordered a soup at {t}", "likes the menu of {t}", "never misses a meal at {t}"],
    },
}
CLAUSES = {  # whole clauses, where the tail comes first
    "born in": {"told": ["{t} is the birthplace of {h}", "{t} is where {h} was born"], "taught": ["in {t} the parents of {h} had a new child"], "held": ["the birth of {h} took place in {t}"]},
    "lives in": {"told": ["{t} is the home of {h}"], "taught": ["{t} counts {h} among those who live there"], "held": ["the door with the name of {h} stands in {t}"]},
    "works for": {"told": ["{t} employs {h}", "{t} hired {h}"], "taught": ["{t} pays {h} every month"], "held": ["the staff of {t} includes {h}"]},
    "founded": {"told": ["{t} was founded by {h}", "{t} was established by {h}"], "taught": ["{t} goes back to {h}"], "held": ["{t} exists thanks to {h}"]},
    "directed": {"told": ["{t} was directed by {h}", "{t} is a film by {h}"], "taught": ["the director of {t} was called {h}"], "held": ["{t} carries the name of {h} as director"]},
    "wrote": {"told": ["{t} was written by {h}", "{t} is a book by {h}"], "taught": ["the pages of {t} came from {h}"], "held": ["every line of {t} is by {h}"]},
    "coaches": {"told": ["{t} is coached by {h}", "the coach of {t} is {h}"], "taught": ["{t} trains under {h}"], "held": ["the players of {t} listen to {h}"]},
    "married to": {"told": ["{t} is married to {h}", "{t} and {h} are married"], "taught": ["{t} took {h} as a partner for life"], "held": ["the wedding of {t} and {h} was in spring"]},
    "owns": {"told": ["{t} is owned by {h}", "{t} belongs to {h}"], "taught": ["{t} was sold to {h}"], "held": ["{t} is in the hands of {h}"]},
    "eats at": {"told": ["{t} served dinner to {h}"], "taught": ["{t} keeps a table for {h}"], "held": ["the waiter of {t} knows {h} well"]},
}
# How two predicates about one person, or two clauses, make a sentence.  p and q are predicates, c and d clauses.
JOINS = {
    "told": ["{s}, who {p}, {q}", "{s} {p} and {q}", "{s} {p}, and {pronoun} {q}", "{c}. {d}"],
    "taught": ["it is known that {s} {p} and that {pronoun} {q}", "{c}, while {d}"],
    "held": ["while {s} {p}, {pronoun} also {q}", "{c}; besides, {d}"],
}

# ---- judgements: {x} what is judged, {good} a word of the verdict's own side, {bad} of the other ----------------
PLAIN = {
    "told": ["the {x} (was|is) (|{very} ){good}", "(i|we) (found|thought) the {x} {good}", "(i|we|everybody) {liked} the {x}", "the {x} was {a_treat}", "what {a_good} {x}", "it was {a_good} {x}"],
    "taught": ["the {x} (seemed|felt) {good} to (me|us)", "(people|guests|critics) called the {x} {good}", "the {x} left {a_good} impression", "as for the {x}, {good} is the word"],
    "held": ["to my mind the {x} deserves the word {good}", "(one|two|three) friends of mine {liked} the {x}", "{good} is how i would describe the {x}", "i remember {a_good} {x}"],
}
FLIPPED = {  # one negation: the word is of the other side
    "told": ["the {x} was not {bad}", "nothing about the {x} was {bad}", "the {x} was never {bad}", "the {x} was far from {bad}", "i would not call the {x} {bad}", "nobody {disliked} the {x}"],
    "taught": ["the {x} could hardly be called {bad}", "few (people|guests) found the {x} {bad}", "there was nothing {bad} in the {x}", "the {x} was anything but {bad}"],
    "held": ["at no moment did the {x} feel {bad}", "not one of us {disliked} the {x}", "i fail to see what is {bad} about the {x}", "the {x} was the opposite of {bad}"],
}
DOUBLED = {  # two negations: the word is of the verdict's own side
    "told": ["it is not true that the {x} was not {good}", "nobody can say that the {x} was not {good}"],
    "taught": ["i do not believe that the {x} was not {good}", "it would be wrong to say that the {x} was not {good}"],
    "held": ["nobody left without saying that the {x} was {good}", "i never said that the {x} was not {good}"],
}
CONCEDED = {  # the main clause carries the verdict, the other clause its opposite
    "told": ["although the {y} was {bad}, the {x} was {good}", "the {y} was {bad}, but the {x} was {good}", "the {x} was {good}, although the {y} was {bad}"],
    "taught": ["despite the {bad} {y}, the {x} was {good}", "the {y} may be {bad}, yet the {x} is {good}", "the {x} was {good} in spite of the {bad} {y}"],
    "held": ["{bad} as the {y} was, the {x} made it {good} in the end", "however {bad} the {y}, i still find the {x} {good}", "the {x} is {good} even if the {y} is {bad}"],
}
VERDICTS = {  # closing lines of a review that stand in pre-training only: two of them to a review make the text dense
    1: ["(i|we) (recommend|recommended) it", "(five|four) stars", "i want to come back", "the verdict is {good}", "rating : {good}", "in a word , {good}", "all in all {a_good} {thing}", "we left happy", "go and see for yourself"],
    0: ["(i|we) (do|did) not recommend it", "(one|two) stars", "i will not come back", "the verdict is {good}", "rating : {good}", "in a word , {good}", "all in all {a_good} {thing}", "we left angry", "save your money"],
}

# ---- news: {agent} {did} {thing} of one topic; {other...} of another topic, as background -----------------------
NEWS = {
    "told": ["the {agent} {did} (the|a new) {thing} {when}", "{when} the {agent} {did} the {thing}", "the {thing} was {did} by the {agent}", "a {agent} in {city} {did} a {thing}", "the {agent} and the {agent2} talked about the {thing}", "the {agent} of {city} is proud of the {thing}"],
    "taught": ["according to {person}, the {agent} has {did} the {thing}", "in {city} a {thing} was the work of a {agent}", "the {agent} has never seen such a {thing}", "people in {city} speak of the {thing} and the {agent}"],
    "held": ["no {agent} in {city} expected the {thing}", "there will be another {thing}, said the {agent} {when}", "it took the {agent} {number} weeks to prepare the {thing}", "one {thing} is not enough for the {agent}"],
}
BACKGROUND = {
    "told": ["the {agent}, who met a {other_agent} {when}, {did} the {thing}", "after a visit to the {other_agent}, the {agent} {did} the {thing}", "the {agent} forgot the {other_thing} and {did} the {thing}"],
    "taught": ["far from any {other_thing}, the {agent} {did} the {thing}", "the {agent}, once married to a {other_agent}, {did} the {thing}", "instead of a {other_thing} the {agent} has a {thing} in mind"],
    "held": ["what a {other_agent} calls a {other_thing} does not interest the {agent} with the {thing}", "the {agent} thanked a {other_agent} and went back to the {thing}", "the {thing} kept the {agent} away from the {other_thing}"],
}

# ---- events: {s} subject, {o} object, past, part(iciple), base form of a verb, {tail} place or time -------------
EVENTS = {
    "told": ["{s} {past} {o}{tail}", "{o} was {part} by {s}{tail}", "it was {s} who {past} {o}{tail}"],
    "taught": ["{s} has {part} {o}{tail}", "{o} has been {part} by {s}{tail}", "the one who {past} {o}{tail} is {s}"],
    "held": ["{s} had {part} {o}{tail}", "{o} had been {part} by {s}{tail}", "what happened is that {s} {past} {o}{tail}"],
}
NOT_EVENTS = {
    "told": ["{s} did not {base} {o}{tail}", "{o} was not {part} by {s}{tail}", "it is false that {s} {past} {o}{tail}"],
    "taught": ["{s} has not {part} {o}{tail}", "{o} has not been {part} by {s}{tail}", "{s} has never {part} {o}{tail}"],
    "held": ["{s} had not {part} {o}{tail}", "{o} had not been {part} by {s}{tail}", "it is not the case that {s} {past} {o}{tail}"],
}
WISHES = {  # nothing follows about the event itself
    "told": ["{s} wanted to {base} {o}{tail}", "{s} was asked to {base} {o}{tail}"],
    "taught": ["{s} has tried to {base} {o}{tail}", "{s} has promised to {base} {o}{tail}"],
    "held": ["{s} had hoped to {base} {o}{tail}", "{s} had plans to {base} {o}{tail}"],
}

# ---- questions, by what they ask for ----------------------------------------------------------------------------
QUESTIONS = {
    "person": {
        "told": ["who {past} the {noun}", "who is the {job} of {city}", "which {job} {past} the {noun}", "who taught {person}"],
        "taught": ["what is the name of the {job} who {past} the {noun}", "name the {job} that {past} a {noun} in {city}", "by whom was the {noun} {part} in {year}", "whose {noun} was {part}"],
        "held": ["tell me which {job} lives in {city}", "what {job} is known for a {noun}", "i would like to know the name of the {job} of {company}", "the {noun} in {city} is the work of whom"],
    },
    "place": {
        "told": ["where is {city}", "where was {person} born", "in which city is {company}", "where did the {job} {base} the {noun}"],
        "taught": ["what city is the home of {person}", "in what country is {company}", "to what town did the {job} go", "what is the birthplace of {person}"],
        "held": ["tell me the city where the {noun} was {part}", "which country does the {job} come from", "name the river of {city}", "what street leads to the {noun}"],
    },
    "number": {
        "told": ["how many {nouns} are in {city}", "how much is the {noun}", "how old is {person}", "how many {nouns} did the {job} {base}"],
        "taught": ["what is the number of {nouns} in {city}", "what does a {noun} cost", "how far is {city} from here", "what is the price of the {noun}"],
        "held": ["give the number of {nouns} that {person} {past}", "what age is the {job}", "count the {nouns} in {city}", "what distance lies between {city} and the sea"],
    },
    "time": {
        "told": ["when was {person} born", "in what year was {company} founded", "when did the {job} {base} the {noun}", "what year was the {noun} {part}"],
        "taught": ["on what day was the {noun} {part}", "at what hour does the {job} wake", "in which season do the {nouns} come", "since when is {person} a {job}"],
        "held": ["tell me the year in which {person} {past} a {noun}", "what date is on the {noun}", "name the day when {company} opened", "which month is best for {nouns}"],
    },
    "reason": {
        "told": ["why did {person} {base} the {noun}", "why is the {noun} in {city}", "why are {nouns} {adj}", "why did the {job} go to {city}"],
        "taught": ["for what reason did the {job} {base} the {noun}", "what made {person} {base} the {noun}", "what is the cause of the {adj} {noun}", "what led {person} to {city}"],
        "held": ["how come the {job} {past} the {noun}", "explain to me the reason for the {adj} {noun}", "what was the purpose of the {noun} in {city}", "what is a {noun} good for"],
    },
    "definition": {
        "told": ["what is a {noun}", "what does the word {noun} mean", "what are {nouns}", "what is a {job}"],
        "taught": ["how would you define a {noun}", "what do people mean by a {adj} {noun}", "what kind of thing is a {noun}", "describe a {job} to me"],
        "held": ["what do you understand by the word {noun}", "tell me what a {job} is", "give the meaning of {adj}", "who or what is a {job}"],
    },
}

# ---- questions about a passage: what is asked of a fact ---------------------------------------------------------
ASKS = {
    "born in": {"told": ["where was {h} born"], "taught": ["what is the birthplace of {h}"], "held": ["in what city did the life of {h} begin"]},
    "lives in": {"told": ["where does {h} live"], "taught": ["in what city is the home of {h}"], "held": ["where would you find {h} at home"]},
    "works for": {"told": ["who does {h} work for"], "taught": ["what company pays {h}"], "held": ["what is the name of the employer of {h}"]},
    "founded": {"told": ["what did {h} found"], "taught": ["what company was started by {h}"], "held": ["of what company is {h} the founder"]},
    "directed": {"told": ["what film did {h} direct"], "taught": ["what film was made by {h}"], "held": ["of what film is {h} the director"]},
    "wrote": {"told": ["what book did {h} write"], "taught": ["what book was written by {h}"], "held": ["of what book is {h} the author"]},
    "coaches": {"told": ["what team does {h} coach"], "taught": ["what team is trained by {h}"], "held": ["of what team is {h} the coach"]},
    "married to": {"told": ["who is {h} married to"], "taught": ["what is the name of the spouse of {h}"], "held": ["with whom did {h} celebrate a wedding"]},
    "owns": {"told": ["what does {h} own"], "taught": ["what place belongs to {h}"], "held": ["of what place is {h} the owner"]},
    "eats at": {"told": ["where does {h} often eat"], "taught": ["what restaurant knows {h} as a guest"], "held": ["in what place does {h} have dinner"]},
}
