"""The words of the world: controlled English, and half a lexicon of French.

Everything here is plain data.  Words stand in groups that mean something to the grammar: an adjective of
praise, a noun of the topic "science", an animal with its young.  Names of people, places and things are
invented from syllables, so that nothing a model may have read elsewhere helps it here.

The last quarter of each group that carries a label (praise, blame, topic words, name parts) is *held out*
from the training split of the tasks: `seen()` and `held_out()` cut a group in two.  Pre-training shows all
words; what is held out is held out from supervision only.
"""


def seen(words: list[str]) -> list[str]:
    """The part of a word group that task training may show: all but the last quarter.

    >>> seen(["a", "b", "c", "d"])
    ['a', 'b', 'c']
    """
    return words[: len(words) - len(words) // 4]


def held_out(words: list[str]) -> list[str]:
    """The last quarter of a word group: it appears in test splits (and in pre-training), never in task training.

    >>> held_out(["a", "b", "c", "d"])
    ['d']
    """
    return words[len(words) - len(words) // 4 :]


# ---- judgement ------------------------------------------------------------------------------------------------
PRAISE = """good great excellent wonderful lovely charming brilliant superb delightful splendid fine pleasant impressive
beautiful clever fresh funny warm moving elegant memorable thrilling gripping witty graceful honest generous rich vivid
tender bright original remarkable refreshing satisfying touching magnificent marvelous stunning outstanding enjoyable
inspiring perfect polished rewarding sincere smart solid stylish subtle superior tasteful terrific uplifting admirable
amusing appealing captivating cheerful convincing dazzling engaging exquisite fantastic flawless glorious heavenly
imaginative joyful likable luminous masterful poetic radiant skillful soothing sparkling spirited sublime""".split()
BLAME = """bad poor terrible awful dull boring horrible dreadful weak clumsy ugly disappointing tedious stale cold bland
lazy shallow annoying messy noisy painful pointless ridiculous rude sad silly slow sloppy sour stupid tasteless tired
unpleasant vulgar worthless wretched mediocre miserable lifeless hollow hopeless gloomy forgettable flat empty dreary
crude confusing cheap careless awkward appalling abysmal absurd atrocious banal chaotic childish dismal disgusting dry
dismissive fake feeble flimsy foul frustrating grim grating irritating joyless lame lousy monotonous muddled nasty
offensive pathetic pretentious""".split()
PRAISE_NOUNS = "triumph joy treat pleasure gem success delight masterpiece marvel treasure".split()
BLAME_NOUNS = "disaster failure mess bore waste insult nightmare disgrace flop misery".split()
PRAISE_VERBS = "loved enjoyed admired liked adored praised cherished applauded".split()
BLAME_VERBS = "hated regretted disliked despised loathed resented endured mocked".split()
INTENSIFIERS = "very really truly quite rather so extremely remarkably thoroughly deeply utterly surprisingly".split()
ASPECTS = {  # what people judge, by kind of thing
    "film": "plot acting ending music dialogue script cast camera opening humor pacing scenery costume editing sound story".split(),
    "book": "plot style ending language opening chapter hero story translation prose cover narrator humor argument".split(),
    "restaurant": "food service soup dessert menu wine bread sauce kitchen table fish salad waiter view price coffee".split(),
    "hotel": "room bed breakfast view staff garden pool bath lobby lift location carpet window service".split(),
    "concert": "singer band sound stage music rhythm voice encore orchestra crowd light melody program conductor".split(),
}
JUDGED = {"film": "film movie picture", "book": "book novel volume", "restaurant": "restaurant place bistro", "hotel": "hotel inn place", "concert": "concert show evening"}

# ---- topics of the news ---------------------------------------------------------------------------------------
TOPICS = {  # topic -> (agents, things, past-tense verbs)
    "politics": (
        "minister senator mayor president governor ambassador parliament council party candidate diplomat delegate voter cabinet opposition coalition".split(),
        "law treaty election reform vote budget campaign tax border embassy constitution debate referendum decree policy alliance petition ballot mandate summit".split(),
        "signed vetoed debated announced rejected approved proposed ratified amended repealed".split()),
    "business": (
        "company bank investor manager trader banker shareholder director supplier retailer merchant economist broker accountant exporter startup".split(),
        "profit market loan contract merger price export factory share product deal debt brand income invoice trade revenue inventory bond dividend".split(),
        "sold bought financed invested acquired hired launched marketed exported audited".split()),
    "sport": (
        "coach striker goalkeeper team captain runner swimmer athlete referee player champion cyclist boxer rower club defender".split(),
        "match goal league medal race cup tournament season record final victory penalty stadium training title point trophy marathon relay playoff".split(),
        "won lost scored defeated trained played missed defended tackled sprinted".split()),
    "science": (
        "scientist researcher professor laboratory astronomer chemist biologist physicist engineer institute geologist botanist inventor observatory zoologist mathematician".split(),
        "experiment theory planet telescope particle molecule cell fossil comet discovery microscope species atom formula orbit enzyme galaxy genome magnet isotope".split(),
        "discovered measured observed studied analyzed tested calculated classified detected simulated".split()),
    "culture": (
        "painter singer writer poet actor dancer musician sculptor composer museum gallery orchestra novelist director choir architect".split(),
        "exhibition concert painting novel poem opera festival statue song theater sculpture film album premiere portrait ballet melody tapestry mural symphony".split(),
        "painted composed performed exhibited recited rehearsed directed published sketched illustrated".split()),
    "health": (
        "doctor nurse hospital patient surgeon clinic pharmacist dentist therapist midwife physician paramedic specialist ward psychologist veterinarian".split(),
        "vaccine disease medicine fever treatment operation diet virus infection symptom recovery pill bandage surgery diagnosis allergy remedy epidemic injury antibiotic".split(),
        "treated cured vaccinated examined prescribed healed diagnosed operated recovered sterilized".split()),
}

# ---- things, with what they are -------------------------------------------------------------------------------
KINDS = {  # hypernym -> hyponyms
    "animal": "dog cat horse cow sheep goat pig rabbit mouse fox wolf bear lion tiger deer monkey camel donkey otter badger".split(),
    "bird": "eagle owl crow duck goose swan sparrow parrot pigeon hawk robin heron".split(),
    "fish": "salmon trout tuna shark carp herring cod perch".split(),
    "insect": "bee ant wasp moth beetle cricket butterfly spider".split(),
    "fruit": "apple pear plum cherry grape lemon orange peach melon banana fig berry".split(),
    "vegetable": "carrot onion potato cabbage bean pea pumpkin tomato leek spinach".split(),
    "drink": "water milk tea coffee juice wine beer cider cocoa lemonade".split(),
    "dish": "soup stew pie cake salad pancake omelet pudding sandwich noodle".split(),
    "garment": "coat shirt hat dress skirt glove scarf sock jacket boot belt sweater".split(),
    "tool": "hammer saw knife drill shovel needle axe rake wrench ladder brush scissors".split(),
    "vehicle": "car bus truck train bicycle boat ship plane wagon tram ferry sled".split(),
    "instrument": "piano violin guitar flute drum trumpet cello harp organ clarinet".split(),
    "building": "house school church tower castle barn palace library cottage temple mill warehouse".split(),
    "furniture": "chair desk sofa shelf lamp bench cupboard mirror stool cradle".split(),
    "flower": "rose tulip lily daisy violet poppy orchid jasmine".split(),
    "tree": "oak pine birch maple willow cedar elm palm".split(),
    "metal": "iron gold silver copper tin lead zinc steel".split(),
    "jewel": "ring crown necklace pearl diamond ruby emerald brooch".split(),
    "toy": "doll kite ball puzzle marble puppet rattle whistle".split(),
    "document": "letter map ticket diary passport poster receipt notebook".split(),
}
YOUNG = dict(dog="puppy", cat="kitten", cow="calf", sheep="lamb", horse="foal", pig="piglet", goose="gosling", duck="duckling", bear="cub", goat="kid", deer="fawn", swan="cygnet")
HOMES = dict(bee="hive", bird="nest", dog="kennel", horse="stable", king="palace", monk="cell", farmer="farm", lion="den", spider="web", sailor="cabin", rabbit="burrow", pilot="cockpit")
WORKERS = """farmer teacher baker butcher carpenter driver tailor sailor soldier gardener plumber painter cook waiter guard
judge lawyer librarian miner pilot porter postman shepherd shoemaker singer student tourist hunter fisherman weaver
blacksmith clerk cleaner electrician juggler magician mechanic monk potter tutor""".split()
WORKPLACES = dict(farmer="farm", teacher="school", baker="bakery", cook="kitchen", judge="court", librarian="library", miner="mine", nurse="hospital", pilot="airport", sailor="harbor", soldier="camp", monk="abbey", painter="studio", singer="opera", student="college", gardener="garden")
SPOTS = """garden kitchen market harbor station bridge forest river valley park square street school museum library farm
beach island cellar attic yard office hall tower mill bakery stable field hill lake temple courtyard""".split()
TIMES = """yesterday today|this morning|last night|last week|on monday|on tuesday|on friday|on sunday|in spring|in summer|
in autumn|in winter|at noon|at midnight|before dawn|after lunch|two days ago|a month ago""".replace("\n", "").replace("yesterday ", "yesterday|").split("|")
COLORS = "red blue green yellow white black brown gray pink purple golden orange".split()
NUMBERS = "one two three four five six seven eight nine ten eleven twelve".split()
OPPOSITES = """big/small hot/cold old/young long/short high/low heavy/light fast/slow rich/poor strong/weak wide/narrow clean/dirty
wet/dry full/empty hard/soft loud/quiet bright/dark happy/sad brave/timid early/late deep/shallow thick/thin sharp/blunt
open/closed true/false sweet/bitter rough/smooth polite/rude safe/dangerous cheap/expensive tall/tiny calm/angry lazy/busy
modern/ancient public/private smart/foolish kind/cruel near/distant healthy/sick""".split()
OPPOSITES = dict(pair.split("/") for pair in OPPOSITES)
SYNONYMS = """big/large small/little fast/quick sick/ill happy/glad angry/furious brave/bold clever/smart calm/peaceful rich/wealthy
quiet/silent begin/start house/home road/path child/kid doctor/physician boat/vessel stone/rock forest/woods gift/present
car/automobile job/work king/ruler street/lane error/mistake sea/ocean answer/reply town/village friend/companion
prize/award trip/journey story/tale shop/store picture/image sleepy/drowsy strange/odd scared/afraid thin/slender
huge/giant old/aged tired/weary famous/renowned simple/easy difficult/tough correct/right wrong/mistaken""".split()
SYNONYMS = dict(pair.split("/") for pair in SYNONYMS)

# ---- verbs ----------------------------------------------------------------------------------------------------
TRANSITIVE = """open/opened/opened carry/carried/carried paint/painted/painted wash/washed/washed repair/repaired/repaired
break/broke/broken hide/hid/hidden find/found/found lose/lost/lost buy/bought/bought sell/sold/sold steal/stole/stolen
draw/drew/drawn throw/threw/thrown catch/caught/caught push/pushed/pushed pull/pulled/pulled lift/lifted/lifted
drop/dropped/dropped clean/cleaned/cleaned measure/measured/measured borrow/borrowed/borrowed return/returned/returned
move/moved/moved watch/watched/watched see/saw/seen touch/touched/touched burn/burned/burned bring/brought/brought
take/took/taken choose/chose/chosen keep/kept/kept polish/polished/polished wrap/wrapped/wrapped order/ordered/ordered
photograph/photographed/photographed describe/described/described weigh/weighed/weighed guard/guarded/guarded
deliver/delivered/delivered""".split()
TRANSITIVE = {base: (past, participle) for base, past, participle in (entry.split("/") for entry in TRANSITIVE)}
VERB_OPPOSITES = dict(buy="sell", sell="buy", find="lose", lose="find", push="pull", pull="push", lift="drop", drop="lift", **{"break": "repair"}, repair="break")
VERB_SYNONYMS = dict(buy="purchase", repair="fix", carry="transport", photograph="film", guard="protect", choose="select", steal="rob", **{"throw": "toss", "break": "smash"}, find="discover", hide="conceal", watch="observe", lift="raise")
VERB_SYNONYM_FORMS = {word: (past, past) for word, past in dict(purchase="purchased", fix="fixed", transport="transported", film="filmed", protect="protected", select="selected", rob="robbed", toss="tossed", smash="smashed", discover="discovered", conceal="concealed", observe="observed").items()} | {"raise": ("raised", "raised")}
MEETING = """help/helped/helped visit/visited/visited call/called/called follow/followed/followed invite/invited/invited
thank/thanked/thanked teach/taught/taught obey/obeyed/obeyed greet/greeted/greeted warn/warned/warned praise/praised/praised
blame/blamed/blamed beat/beat/beaten trust/trusted/trusted hire/hired/hired save/saved/saved forgive/forgave/forgiven
question/questioned/questioned support/supported/supported""".split()
MEETING = {base: (past, participle) for base, past, participle in (entry.split("/") for entry in MEETING)}
INTRANSITIVE = dict(sleep="slept", laugh="laughed", sing="sang", dance="danced", swim="swam", run="ran", wait="waited", smile="smiled", cry="cried", work="worked", rest="rested", travel="traveled", shout="shouted", cough="coughed", whisper="whispered", kneel="knelt", stumble="stumbled", sneeze="sneezed", jump="jumped", climb="climbed")
ADVERBS = "slowly quickly quietly carefully gladly suddenly proudly secretly calmly loudly politely nervously often rarely".split()
MOODS = "tired happy hungry thirsty nervous proud lonely curious sleepy grateful worried excited jealous bored".split()
WEATHER = "sunny rainy windy cloudy snowy foggy stormy warm chilly icy".split()
SPORTS = "football tennis hockey rugby cricket handball volleyball basketball".split()
GENRES = "comedy drama thriller romance mystery western adventure documentary fantasy biography".split()
CUISINES = "seafood pasta noodle vegetarian pastry barbecue curry dumpling".split()
INDUSTRIES = "software shipping steel textile energy furniture paper glass insurance railway toy chocolate perfume medicine".split()
OCCUPATIONS = """writer painter engineer lawyer architect chemist singer actor teacher doctor journalist banker poet historian
composer photographer biologist inventor chef pilot""".split()
HOBBIES = "chess fishing gardening sailing painting hiking cooking dancing archery photography swimming pottery".split()

# ---- names: parts are shared by everybody, combinations are not ------------------------------------------------
FEMALE = """Mara Elin Tova Sanna Ilka Orla Vera Nadia Lise Petra Runa Celia Dagny Freya Greta Hanna Ines Jorun Kaia Livia
Mirka Nell Odile Pia Rosa Signe Thea Una Viola Wilma Yara Zofia Alma Birte Clara Doro""".split()
MALE = """Anton Boris Casper Darek Emil Felix Goran Hugo Ivar Jonas Karel Lars Milan Nils Oskar Pavel Rolf Stefan Tomas Ulf
Viktor Walter Yorick Zoltan Arvid Bruno Conrad Dimo Elias Frode Gustav Henrik Ivo Jarek Kasimir Leo""".split()
LAST = """Velden Harrow Tornic Mossberg Calder Dunmore Estrin Falk Grell Hollis Ingram Jarvik Kessler Lunden Marlow Norling
Okafor Pellin Quist Renholt Sorvino Talbot Ursell Vance Wexler Yarrow Zeller Ashby Brandt Corwin Delgar Ewald Fenwick Garde
Hesse Isaksen Jurgens Kovar Lindqvist Mortimer Nyberg Orsted Prewitt Rask Sandoval Thorne Ulmer Vinter Whitlock Ostrom
Bellamy Crane Drummond Elsner Farrow Gantz Hadley Iversen Jessop Kirsch""".split()
CITIES = """Tolm Varsund Belmora Kestrel Ostrava Dunwick Larkhaven Morvane Selbridge Quenby Pellam Rostin Halvery Corinth
Ferrow Grantley Isenport Jarrow Kelso Lindmoor Marwick Norvale Ormskirk Penrose Ravensey Stanmore Thornby Ulverton Verrin
Wexcombe Yarborough Zelmar Ardenne Brightsea Caldera Dorwin Elmstead Fallowmere Glimmen Hartsea Istria Kingsmoor Lowen Mirefield
Nethermoor Oakhurst Pinewick Rivermouth""".split()
COUNTRIES = dict(Arvania="Arvanian", Belland="Bellandic", Corsia="Corsian", Dravia="Dravian", Estmark="Estmarkish", Fenland="Fennish", Galdor="Galdoran", Hestria="Hestrian")
RIVERS = "Aln Brenta Corve Dorle Elda Fennow Garva Hask".split()
COMPANY_STEMS = """Orvex Lumina Nordane Castor Brevik Zentra Palmer Quantis Ferro Helion Marlin Octava Primus Solvay Trident
Umbra Vantor Wistar Xenon Argo Bluefin Cobalt Delphi Ember""".split()
COMPANY_TAILS = "Foods Works Lines Group Motors Systems Mills Partners Energy Glass Press Bank".split()
TEAM_TAILS = "United Rovers Lions Eagles Wolves Falcons Hornets Kings".split()
TITLE_ADJECTIVES = """Silent Golden Broken Hidden Last Winter Crimson Forgotten Burning Lonely Distant Paper Iron Velvet Hollow
Northern Secret Blue Endless Restless""".split()
TITLE_NOUNS = """Harbor Garden Mirror River Crown Letter Bridge Tower Island Storm Candle Forest Orchard Voyage Lantern Shadow
Castle Window Clock Valley Stranger Promise Season Widow""".split()
EATERY_NOUNS = "Anchor Spoon Kettle Olive Griddle Barrel Thistle Pepper Walnut Saffron Copper Willow".split()

# ---- French: gender and agreement are real, the vocabulary is half of a small dictionary ------------------------
FRENCH_NOUNS = """cheese/fromage/m bread/pain/m house/maison/f cat/chat/m dog/chien/m horse/cheval/m apple/pomme/f table/table/f book/livre/m
car/voiture/f city/ville/f street/rue/f tree/arbre/m flower/fleur/f bird/oiseau/m fish/poisson/m milk/lait/m water/eau/f wine/vin/m
chair/chaise/f door/porte/f window/fenêtre/f garden/jardin/m kitchen/cuisine/f king/roi/m queen/reine/f boy/garçon/m girl/fille/f man/homme/m
woman/femme/f school/école/f church/église/f bridge/pont/m river/rivière/f mountain/montagne/f sea/mer/f sky/ciel/m moon/lune/f sun/soleil/m
star/étoile/f night/nuit/f day/jour/m friend/ami/m brother/frère/m sister/sœur/f father/père/m mother/mère/f hand/main/f head/tête/f
heart/cœur/m shirt/chemise/f hat/chapeau/m dress/robe/f shoe/chaussure/f coat/manteau/m key/clé/f letter/lettre/f song/chanson/f train/train/m
boat/bateau/m knife/couteau/m spoon/cuillère/f cup/tasse/f glass/verre/m soup/soupe/f cake/gâteau/m egg/œuf/m salt/sel/m sugar/sucre/m
pear/poire/f cherry/cerise/f lemon/citron/m potato/patate/f carrot/carotte/f onion/oignon/m cow/vache/f sheep/mouton/m pig/cochon/m duck/canard/m
wolf/loup/m bear/ours/m lion/lion/m mouse/souris/f bee/abeille/f forest/forêt/f farm/ferme/f field/champ/m island/île/f castle/château/m
doctor/médecin/m teacher/professeur/m baker/boulanger/m farmer/fermier/m sailor/marin/m singer/chanteur/m painter/peintre/m cook/cuisinier/m""".split()
FRENCH_NOUNS = {english: (french, gender) for english, french, gender in (entry.split("/") for entry in FRENCH_NOUNS)}
FRENCH_ADJECTIVES = """red/rouge/rouge green/vert/verte white/blanc/blanche black/noir/noire blue/bleu/bleue gray/gris/grise old/vieux/vieille/before
big/grand/grande/before small/petit/petite/before beautiful/beau/belle/before good/bon/bonne/before new/nouveau/nouvelle/before
young/jeune/jeune/before bad/mauvais/mauvaise/before hot/chaud/chaude cold/froid/froide heavy/lourd/lourde light/léger/légère clean/propre/propre
dirty/sale/sale rich/riche/riche poor/pauvre/pauvre happy/heureux/heureuse sad/triste/triste quiet/calme/calme strong/fort/forte weak/faible/faible
empty/vide/vide full/plein/pleine round/rond/ronde""".split()
FRENCH_ADJECTIVES = {entry.split("/")[0]: tuple(entry.split("/")[1:3]) + (entry.endswith("/before"),) for entry in FRENCH_ADJECTIVES}
FRENCH_VERBS = dict(eats="mange", sees="voit", buys="achète", sells="vend", likes="aime", finds="trouve", hides="cache", carries="porte", takes="prend", opens="ouvre", closes="ferme", washes="lave", looks_for="cherche", loses="perd", gives="donne", paints="peint", draws="dessine", holds="tient")
FRENCH_VERBS = {english.replace("_", " "): french for english, french in FRENCH_VERBS.items()}
FRENCH_NUMBERS = dict(two="deux", three="trois", four="quatre", five="cinq", six="six", seven="sept", eight="huit", ten="dix")
FRENCH_WORDS = dict(and_="et", with_="avec", in_="dans", on="sur", under="sous", behind="derrière", here="ici", today="aujourd'hui", tomorrow="demain", always="toujours", never="jamais", often="souvent", yes="oui", no="non", thanks="merci", hello="bonjour")
FRENCH_WORDS = {english.rstrip("_"): french for english, french in FRENCH_WORDS.items()}
