"""Answers written by hand in other words than the corpus uses: (prompt, answer). The gold has not seen them."""

from __future__ import annotations

ENGLISH = [
    # open QA
    ("What is the capital of France?", "France's capital city is Paris."),
    ("Which city is the capital of Japan?", "That would be Tokyo, a huge city in Asia."),
    ("Name the capital city of Egypt.", "The Egyptian government sits in Cairo."),
    ("What does a rabbit eat?", "Rabbits mostly eat carrots."),
    ("Tell me what a monkey likes to eat.", "Monkeys love a ripe banana, and they live in the jungle."),
    ("Where does a frog live?", "You will find frogs in ponds."),
    ("Where is the home of a lion?", "Lions live out in the savannah."),
    # generation
    ("Write a sentence about a brave mouse.", "Deep in the cellar, a courageous little mouse chased the cat away."),
    (
        "Tell me a short story about a hungry lion.",
        "There once was a starving lion. He ate a huge supper and fell asleep.",
    ),
    ("Write something nice about a happy dog.", "My neighbour has a cheerful dog that wags its tail all day."),
    (
        "Write a birthday card for Emma, who wants a ball.",
        "Dear Emma, happy birthday! May your new ball bounce very high.",
    ),
    (
        "Write a short birthday note to Hugo about a new clock.",
        "Hugo, all the best on your birthday, and enjoy your clock!",
    ),
    # brainstorming
    (
        "Give me three things that Anna can do at the beach.",
        "Go for a swim, build sandcastles or watch the waves; you will have fun.",
    ),
    (
        "I am going to the library with Ben. What are three things to do?",
        "You might read books, do homework or borrow films there.",
    ),
    ("Name three gifts for Anna, who likes music.", "Anna would enjoy a guitar, a flute or perhaps a piano."),
    # chat
    ("I lost my key at the park today.", "Oh no, what a pity about your key! Have you looked around the park again?"),
    (
        "I am sad. I left my coat at the station.",
        "I'm sorry to hear about the coat. Maybe the station has a lost property office.",
    ),
    ("Hello! My name is Nina and I like reading.", "Hi Nina, lovely to meet you. Which books do you like best?"),
    ("Hi, I am Leo. I really enjoy gardening.", "Welcome, Leo! A garden is a wonderful thing to have."),
    # rewrite
    ("Make this polite: Give me the red cup!", "May I have the red cup, please?"),
    ("Say it more politely: Give me the blue hat!", "Would you mind passing me the blue hat?"),
    ("Put this in the past tense: Kate has a green bag.", "Kate owned a green bag."),
    ("Change to the past: Jack has a white lamp.", "Last year, Jack had a white lamp."),
    # summarization
    (
        "Summarize: Dora went to the market. The day was warm. Dora bought a red hat there.",
        "Dora purchased a red hat when she visited the market.",
    ),
    (
        "Sum this up: Finn was at the lake. It was late. Finn found a black key there.",
        "A key was found by Finn at the lake.",
    ),
    # classification
    (
        "Is this review good or bad? The soup was awful.",
        "It is a negative review, as the writer thinks the soup was terrible.",
    ),
    (
        "Good or bad review: I had the cake and it was wonderful.",
        "The cake was praised, so I call this review positive.",
    ),
    ("Is a horse an animal, a food or a tool?", "Horses are animals."),
    ("Animal, food or tool: what is a pen?", "You use a pen to write, which makes it a tool."),
    # closed QA
    ("Listen: At the zoo a blue cup was given to Nina. Who has the cup?", "The one who has the cup is Nina."),
    ("Text: A green map was lost at the park by Dora. Who lost the map?", "That green map belonged to Dora."),
    ("Read: Today Jack took a book to the farm. Where is Jack?", "Jack is currently on the farm."),
    ("Text: The lake is where Kate lost a cup. Where can I find Kate?", "Right now Kate must be at the lake."),
    # extract
    (
        "Which animals are in this text? The wolf took a hat from the horse.",
        "Two animals appear in it: the wolf and the horse.",
    ),
    ("Find the animals: A cat saw a clock and a cow.", "I can find a cow and a cat in the text."),
    ("Find the name and the place: Today Hugo took a box to the museum.", "It mentions Hugo, who was at the museum."),
    (
        "Extract the name and the place: Gina left a book at the market.",
        "The person is called Gina, and the place where she was is the market.",
    ),
]

CHINESE = [
    ("法国的首都是哪里？", "法国首都就是巴黎。"),
    ("请告诉我日本的首都。", "日本的首都叫东京，在亚洲东部。"),
    ("熊猫吃什么？", "大熊猫最爱吃的是竹子。"),
    ("请问松鼠喜欢吃什么？", "松鼠平时吃各种坚果。"),
    ("写一句关于勇敢的小狗的话。", "从前有一只大胆的小狗，它敢和老虎说话。"),
    ("请写一个快乐的兔子的小故事。", "那只兔子很开心，总是对着月亮唱歌。"),
    ("请说出小明在公园可以做的三件事。", "他可以去公园慢跑、散步，还可以放风筝。"),
    ("我和小红要去图书馆，给我三个主意。", "不如去那里读书、写作业，或者借电影吧，祝你愉快！"),
    ("我今天在农场丢了钱包。", "真遗憾你的钱包丢了，别着急，先去农场找找吧。"),
    ("真难过，我把帽子忘在海边了。", "别担心，你的帽子也许还在海边。"),
    ("请改得礼貌一些：把红色杯子给我！", "麻烦您把那个红色的杯子递给我。"),
    ("礼貌地改写：把蓝色书包给我！", "能不能请您把蓝色书包给我？谢谢！"),
    ("总结：小明去了公园。天气很好。小明买了红色帽子。", "小明在公园里买到了一顶红帽子。"),
    ("请概括：小红到了海边。时间还早。小红买了黑色杯子。", "小红一早就去海边买了杯子。"),
    ("这条评价是好评还是差评？面条太难吃了。", "这是一条负面评价，客人觉得面条不好吃。"),
    ("好评还是差评：今天的蛋糕非常美味。", "客人很喜欢这个蛋糕，所以是好评。"),
    ("阅读：小红在公园丢了蓝色书包。谁丢了书包？", "丢了书包的人是小红。"),
    ("文中说：黑色帽子是小李的，在农场。谁有帽子？", "那顶黑色的帽子属于小李，是他的。"),
    ("找出文中的动物：老虎从松鼠那里拿了玩具。", "这句话里有两种动物：松鼠和老虎。"),
    ("下面有哪些动物？小猫看到了玩具和奶牛。", "提到的动物有小猫，还有奶牛。"),
]
